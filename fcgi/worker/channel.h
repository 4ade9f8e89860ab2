#ifndef HANDOVER_H
#define HANDOVER_H

/*
 * Connections that one worker gives to another, by SCM_RIGHTS (unix(7)). What
 * is on its way belongs to the slot and not to a process: it waits for whoever
 * serves there next.
 */
struct handover {
	int in;  /* for the slot's worker */
	int out; /* for the others */
};

/* Returns 0 or a negative errno. Who opened both ends closes them. */
int handover_open(struct handover *handover);

/*
 * Send a connection; the caller closes its own descriptor of it. Until it has,
 * the connection outlives the receiver's close, and stays in the receiver's
 * epoll unless taken out of it before. Never blocks. Returns 0, or a negative
 * errno where the caller must keep it.
 */
int handover_send(const struct handover *to, int connection);

/*
 * The next connection that was sent, or a negative errno (-EAGAIN: none). Both
 * of these may be called in a signal handler.
 */
int handover_receive(const struct handover *handover);

#endif
