#ifndef LIFE_H
#define LIFE_H

/*
 * The life of a worker as a state machine:
 *
 *   SERVING --leave--> LEAVING --drain--> DRAINING --end--> ENDED
 *      '------------------'-----------------'-----end------^
 */

#include <stdint.h>

enum life_state {
	LIFE_SERVING,
	LIFE_LEAVING,  /* was told to leave; still accepts connections */
	LIFE_DRAINING, /* accepts none; finishes what it has */
	LIFE_ENDED
};

/* All zeros: serving. */
struct life {
	enum life_state state;
	int exit_code;
	int64_t since; /* CLOCK_MONOTONIC ns: when this state began */
};

/*
 * Leave, with this exit code in the end. Only the first call counts: a worker
 * that is leaving already goes on leaving.
 */
void life_leave(struct life *life, int exit_code, int64_t now);

/* Begin to drain. The worker must be leaving. */
void life_drain(struct life *life, int64_t now);

/* Nothing is left to do, or INT has come. The worker must not have ended. */
void life_end(struct life *life, int64_t now);

#endif
