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
#include "load/burn.h"

static _Atomic int64_t *
ticket_of(const struct counters *counters)
{
	return &scoreboard_entry(&counters->scoreboard, SLOT_MASTER)
		    ->load_ticket;
}

/* The load with this ticket is over; another one keeps its ticket. */
static void
return_ticket(const struct counters *counters, int64_t ticket)
{
	atomic_compare_exchange_strong(ticket_of(counters), &ticket, 0);
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
	return_ticket(manager->counters, manager->ticket);
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

/* A worker may be broken, or somebody else's by now: believe nothing. */
static bool
is_sane(const struct load_manager *manager, const struct load *load)
{
	return isfinite(load->seconds) && load->seconds > 0 &&
	       load->seconds <= manager->options->max_load_seconds &&
	       isfinite(load->cpu_cores) && load->cpu_cores >= 0 &&
	       isfinite(load->cpu_floor) && load->cpu_floor >= 0 &&
	       load->cpu_floor <= load->cpu_cores &&
	       load->cpu_cores <= LOAD_CORES_MAX && load->threads == 0;
}

static void
start(struct load_manager *manager, const struct load_order *order)
{
	pid_t master = getpid();
	pid_t pid;

	load_manager_stop(manager);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_NAME, "load");
		load_burn(&order->load, master);
	}
	if (pid < 0) {
		log_text(LOG_ERROR, "cannot fork: %s", strerror(errno));
		return_ticket(manager->counters, order->ticket);
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
		log_text(LOG_ERROR, "an order for a load was cut short");
	} else if (order.load.seconds == 0) { /* its ticket is gone already */
		if (manager->pid && manager->ticket == order.ticket)
			load_manager_stop(manager);
	} else if (!is_sane(manager, &order.load)) {
		log_text(LOG_ERROR,
		    "an order for a load was refused: its values are out of "
		    "range");
		return_ticket(manager->counters, order.ticket);
	} else if (*ticket_of(manager->counters) == order.ticket) {
		start(manager, &order);
	} /* else its end was asked for before it began */
}

void
load_manager_check(struct load_manager *manager, int64_t now)
{
	int64_t ticket = *ticket_of(manager->counters);

	if (ticket == 0 || (manager->pid && ticket == manager->ticket)) {
		manager->unordered = 0;
	} else if (ticket != manager->unordered) {
		manager->unordered = ticket;
		manager->unordered_at = now;
	} else if (now - manager->unordered_at > CLOCK_NS_PER_SECOND) {
		return_ticket(manager->counters, ticket);
	}
}

static bool
send_order(int orders, const struct load_order *order)
{
	return write(orders, order, sizeof(*order)) == sizeof(*order);
}

int
load_manager_ask(
    const struct counters *counters, int orders, const struct load *load)
{
	const struct load_order order = {clock_now(), *load};
	int64_t none = 0;

	if (!atomic_compare_exchange_strong(
		ticket_of(counters), &none, order.ticket))
		return -EBUSY;
	if (send_order(orders, &order))
		return 0;
	return_ticket(counters, order.ticket);
	return -EAGAIN;
}

int
load_manager_ask_end(const struct counters *counters, int orders)
{
	struct load_order order = {.ticket = *ticket_of(counters)};
	int64_t ticket = order.ticket;
	int64_t none = 0;

	/* Whoever takes the ticket away is the one who ended the load. */
	if (ticket == 0 ||
	    !atomic_compare_exchange_strong(ticket_of(counters), &ticket, 0))
		return -ENOENT;
	if (send_order(orders, &order))
		return 0;
	atomic_compare_exchange_strong(
	    ticket_of(counters), &none, order.ticket);
	return -EAGAIN;
}
