#include "master/load_manager.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/title.h"
#include "load/amount.h"
#include "load/burn.h"
#include "load/order.h"

static int64_t
current_ticket(const struct load_manager *manager)
{
	return load_order_ticket(&manager->counters->scoreboard);
}

static void
remove_ticket(const struct load_manager *manager, int64_t ticket)
{
	load_order_remove(&manager->counters->scoreboard, ticket);
}

static void
set_pid(struct load_manager *manager, pid_t pid)
{
	manager->pid = pid;
	scoreboard_entry(&manager->counters->scoreboard, SLOT_MASTER)
	    ->load_pid = pid;
}

void
load_manager_ended(struct load_manager *manager, int status)
{
	LOG(LOG_INFO, "load ended",
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""));
	set_pid(manager, 0);
	remove_ticket(manager, manager->ticket);
}

void
load_manager_stop(struct load_manager *manager)
{
	int status = 0;

	if (!manager->pid)
		return;
	kill(manager->pid, SIGKILL);
	waitpid(manager->pid, &status, 0);
	load_manager_ended(manager, status);
}

/* A worker may be broken or compromised, so check every value. */
static bool
is_valid(const struct load_manager *manager, const struct load *load)
{
	struct cgroup cgroup;

	cgroup_read("", &cgroup);
	return isfinite(load->seconds) && load->seconds > 0 &&
	       load->seconds <= manager->options->max_load_seconds &&
	       isfinite(load->cpu_cores) && load->cpu_cores >= 0 &&
	       isfinite(load->cpu_floor) && load->cpu_floor >= 0 &&
	       load->cpu_floor <= load->cpu_cores &&
	       load->cpu_cores <= LOAD_CORES_MAX && load->threads == 0 &&
	       load_amount_allows_memory(load, &cgroup);
}

static void
start(struct load_manager *manager, const struct load_order *order)
{
	pid_t master = getpid();
	pid_t pid;

	load_manager_stop(manager);
	pid = fork();
	if (pid == 0) {
		title_set("load");
		prctl(PR_SET_NAME, "load");
		load_burn(&order->load, master);
	}
	if (pid < 0) {
		log_text(LOG_ERROR, "cannot fork: %s", strerror(errno));
		remove_ticket(manager, order->ticket);
		return;
	}
	manager->ticket = order->ticket;
	set_pid(manager, pid);
	LOG(LOG_INFO, "load raised", LOG_NUMBER("child", pid),
	    LOG_NUMBER("milliseconds", (long long)(order->load.seconds * 1000)),
	    LOG_NUMBER(
		"millicores", (long long)(order->load.cpu_cores * 1000)));
}

void
load_manager_order(struct load_manager *manager)
{
	struct load_order order;
	ssize_t size = read(manager->orders, &order, sizeof(order));

	if (size < 0)
		return;
	if (size != sizeof(order)) {
		log_text(LOG_ERROR, "load order ignored: it is incomplete");
	} else if (order.load.seconds == 0) {
		/* The worker has removed the ticket already. */
		if (manager->pid && manager->ticket == order.ticket)
			load_manager_stop(manager);
	} else if (!is_valid(manager, &order.load)) {
		log_text(LOG_ERROR,
		    "load order refused: its values are out of range");
		remove_ticket(manager, order.ticket);
	} else if (current_ticket(manager) == order.ticket) {
		start(manager, &order);
	} /* else the end of this load was ordered before its start arrived */
}

void
load_manager_check(struct load_manager *manager, int64_t now)
{
	int64_t ticket = current_ticket(manager);

	if (ticket == 0 || (manager->pid && ticket == manager->ticket)) {
		manager->unordered = 0;
	} else if (ticket != manager->unordered) {
		manager->unordered = ticket;
		manager->unordered_at = now;
	} else if (now - manager->unordered_at > CLOCK_NS_PER_SECOND) {
		remove_ticket(manager, ticket);
	}
}
