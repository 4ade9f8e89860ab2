#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

static const int64_t CLOCK_NS_PER_SECOND = 1000000000;
static const int64_t CLOCK_NS_PER_MS = 1000000;

/* Read a clock of clock_gettime(2), in nanoseconds. */
static inline int64_t
clock_read(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * CLOCK_NS_PER_SECOND + now.tv_nsec;
}

/* CLOCK_MONOTONIC, in nanoseconds. */
static inline int64_t
clock_now(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

/* CLOCK_BOOTTIME, in nanoseconds. It continues while the machine sleeps. */
static inline int64_t
clock_boot(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

/* CLOCK_REALTIME, in nanoseconds since the epoch. */
static inline int64_t
clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

#endif
