#ifndef EVENTS_H
#define EVENTS_H

/*
 * The event loop: epoll(7), with a handler for each descriptor.
 */

#include <stdbool.h>
#include <stdint.h>

/* A descriptor's owner embeds one; its handler finds the owner by it. */
struct event_source {
	void (*handle)(
	    void *context, struct event_source *source, uint32_t events);
	/*
	 * It may open and close what other sources stand for. It is handled
	 * after all others, so that none of them gets an event that was meant
	 * for its predecessor.
	 */
	bool is_last;
};

struct events {
	int epoll;
	void *context; /* for the handlers */
};

/* Returns 0 or a negative errno. The process keeps it until it ends. */
int events_open(struct events *events, void *context);

/* Watch a descriptor for these EPOLL... bits. Returns 0 or a negative errno. */
int events_add(const struct events *events, int fd, uint32_t bits,
    struct event_source *source);

/* Watch a descriptor that was added for other bits. */
void events_change(const struct events *events, int fd, uint32_t bits,
    struct event_source *source);

/*
 * Watch a descriptor no longer. To be called before close(): another process
 * may hold the same connection, and epoll would go on reporting it.
 */
void events_remove(const struct events *events, int fd);

/*
 * Wait for events for at most timeout_ms (-1: for ever), and call their
 * handlers. Returns 0, or a negative errno (never -EINTR).
 */
int events_wait(const struct events *events, int timeout_ms);

#endif
