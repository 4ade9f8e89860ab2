#include "worker/events.h"

#include <errno.h>
#include <sys/epoll.h>

enum { EVENTS_MAX = 64 };

int
events_open(struct events *events, void *context)
{
	events->context = context;
	events->epoll = epoll_create1(EPOLL_CLOEXEC);
	return events->epoll < 0 ? -errno : 0;
}

static int
control(const struct events *events, int operation, int fd, uint32_t bits,
    struct event_source *source)
{
	struct epoll_event event = {.events = bits, .data.ptr = source};

	return epoll_ctl(events->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int
events_add(const struct events *events, int fd, uint32_t bits,
    struct event_source *source)
{
	return control(events, EPOLL_CTL_ADD, fd, bits, source);
}

void
events_change(const struct events *events, int fd, uint32_t bits,
    struct event_source *source)
{
	control(events, EPOLL_CTL_MOD, fd, bits, source);
}

void
events_remove(const struct events *events, int fd)
{
	control(events, EPOLL_CTL_DEL, fd, 0, 0);
}

static void
handle(const struct events *events, const struct epoll_event *ready, int count,
    bool last)
{
	for (int i = 0; i < count; i++) {
		struct event_source *source = ready[i].data.ptr;

		if (source->is_last == last)
			source->handle(
			    events->context, source, ready[i].events);
	}
}

int
events_wait(const struct events *events, int timeout_ms)
{
	struct epoll_event ready[EVENTS_MAX];
	int count = epoll_wait(events->epoll, ready, EVENTS_MAX, timeout_ms);

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	handle(events, ready, count, false);
	handle(events, ready, count, true);
	return 0;
}
