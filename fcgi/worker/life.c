#include "worker/life.h"

#include <assert.h>

static void
enter(struct life *life, enum life_state state, int64_t now)
{
	life->state = state;
	life->since = now;
}

void
life_leave(struct life *life, int exit_code, int64_t now)
{
	if (life->state != LIFE_SERVING)
		return;
	life->exit_code = exit_code;
	enter(life, LIFE_LEAVING, now);
}

void
life_drain(struct life *life, int64_t now)
{
	assert(life->state == LIFE_LEAVING);
	enter(life, LIFE_DRAINING, now);
}

void
life_end(struct life *life, int64_t now)
{
	assert(life->state != LIFE_ENDED);
	enter(life, LIFE_ENDED, now);
}
