/*
 * What is left of the workers of a master that was killed.
 */
#include "request_counters.h"

#include "master/orphans.h"
#include "metrics/app_metrics.h"

static _Atomic int64_t *
pid_of(unsigned slot)
{
	return &scoreboard_entry(&counters.scoreboard, slot)->pid;
}

static pid_t
start_and_end(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static uint64_t
crashes(void)
{
	return counters_values(&counters, SLOT_MASTER)[REGISTRY_EXITS_CRASHED];
}

static void
a_worker_whose_master_is_dead_is_reaped_counted_and_forgotten(void **state)
{
	pid_t pid = start_and_end();

	(void)state;
	*pid_of(SLOT_WORKER) = pid;
	orphans_reap(&counters, 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(*pid_of(SLOT_WORKER), 0);
	assert_int_equal(crashes(), 1);
}

static void
another_child_is_neither_reaped_nor_counted(void **state)
{
	pid_t pid = start_and_end();

	(void)state;
	*pid_of(SLOT_WORKER) = pid;
	orphans_reap(&counters, pid);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(crashes(), 0);
}

/* Those that app/metrics.def lists. */
static void
the_gauges_of_a_worker_end_with_it(void **state)
{
	const struct app_metric *metric;
	double value;

	(void)state;
	*pid_of(SLOT_WORKER) = start_and_end();
	counters.own_slot = SLOT_WORKER;
	for (metric = app_metrics; metric->name; metric++)
		if (metric->kind == APP_METRIC_GAUGE)
			app_metrics_set(&counters,
			    (unsigned)(metric - app_metrics), metric->other, 5);
	orphans_reap(&counters, 0);
	for (metric = app_metrics; metric->name; metric++)
		if (metric->kind == APP_METRIC_GAUGE)
			assert_false(app_metrics_read_gauge(&counters,
			    SLOT_WORKER,
			    app_metrics_value(metric, metric->other), &value));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_worker_whose_master_is_dead_is_reaped_counted_and_forgotten),
	    TEST(another_child_is_neither_reaped_nor_counted),
	    TEST(the_gauges_of_a_worker_end_with_it),
	};

	return SUPPORT_RUN(tests);
}
