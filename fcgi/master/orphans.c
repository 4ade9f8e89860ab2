#include "master/orphans.h"

#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "metrics/app_metrics.h"
#include "metrics/busy_time.h"
#include "metrics/registry.h"

/* How long to wait for all of them. */
static const int64_t PATIENCE_NS = CLOCK_NS_PER_SECOND;

void
orphans_reap(const struct counters *counters, pid_t spared)
{
	int64_t until = clock_now() + PATIENCE_NS;
	const struct timespec step = {.tv_nsec = 200000};

	for (unsigned i = SLOT_WORKER; i < counters->slot_count; i++) {
		struct scoreboard_entry *entry =
		    scoreboard_entry(&counters->scoreboard, i);
		pid_t pid = (pid_t)entry->pid;
		pid_t reaped = -1;

		if (pid <= 0 || pid == spared)
			continue;
		while ((reaped = waitpid(pid, NULL, WNOHANG)) == 0 &&
		       clock_now() < until)
			nanosleep(&step, NULL);
		if (reaped == pid)
			counters_add(counters_values(counters, SLOT_MASTER),
			    REGISTRY_EXITS_CRASHED, 1);
		busy_time_settle(counters, i);
		entry->pid = 0;
		app_metrics_reset(counters, i);
	}
}
