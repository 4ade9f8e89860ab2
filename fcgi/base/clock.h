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

/* Enough for clock_format(), whatever the time. */
enum { CLOCK_TEXT_SIZE = 96 };

/*
 * Write a time of clock_wall() in UTC as RFC 3339 with milliseconds, such as
 * 2027-02-03T04:05:06.789Z. A handler of a signal may call this.
 */
void clock_format(int64_t wall_ns, char text[CLOCK_TEXT_SIZE]);

#endif
