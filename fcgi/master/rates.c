#include "master/rates.h"

void
rates_reset(struct scoreboard_entry *entry)
{
	entry->request_rate = 0;
	entry->cpu_usage = -1;
	entry->cpu_throttled = -1;
	entry->cpu_throttled_share = -1;
}

/* How much a counter grew by; -1 where it went back: it is another one. */
static int64_t
growth(uint64_t before, uint64_t after)
{
	return after >= before ? (int64_t)(after - before) : -1;
}

/* What the CPU did between two readings; -1 where one of them failed. */
static void
sample_cpu(struct scoreboard_entry *entry, const struct cgroup *before,
    const struct cgroup *after, double elapsed)
{
	int64_t used = growth(before->cpu_usage_ns, after->cpu_usage_ns);
	int64_t throttled =
	    growth(before->cpu_throttled_ns, after->cpu_throttled_ns);
	int64_t periods = growth(before->cpu_periods, after->cpu_periods);
	int64_t throttled_periods =
	    growth(before->cpu_throttled_periods, after->cpu_throttled_periods);
	bool known = !before->cpu_error && !after->cpu_error && used >= 0 &&
		     throttled >= 0 && periods >= 0 && throttled_periods >= 0;

	entry->cpu_usage = known ? (int64_t)((double)used / elapsed) : -1;
	entry->cpu_throttled =
	    known ? (int64_t)((double)throttled / elapsed) : -1;
	entry->cpu_throttled_share = !known ? -1
				     : periods
					 ? 1000 * throttled_periods / periods
					 : 0;
}

void
rates_tick(struct rates *rates, const struct counters *counters, int64_t now)
{
	struct scoreboard_entry *entry =
	    scoreboard_entry(&counters->scoreboard, SLOT_MASTER);
	const struct rates before = *rates;
	int64_t requests;
	double elapsed = (double)(now - before.read_at) / 1e9;

	if (elapsed < 1)
		return;
	rates->read_at = now;
	rates->requests = counters_sum_requests(counters);
	cgroup_read("", &rates->cgroup);
	if (before.read_at == 0)
		return;
	requests = growth(before.requests, rates->requests);
	rates->was_lower = requests < 0; /* the file was truncated just now */
	if (requests >= 0 && !before.was_lower)
		entry->request_rate =
		    (int64_t)((double)requests * 1000 / elapsed);
	sample_cpu(entry, &before.cgroup, &rates->cgroup, elapsed);
}
