#ifndef CHANNEL_H
#define CHANNEL_H

/*
 * Connections that one worker gives to another, by SCM_RIGHTS (unix(7)). What
 * is on its way belongs to the slot and not to a process: it waits for whoever
 * serves there next.
 */
struct channel {
	int in;  /* for the slot's worker */
	int out; /* for the others */
};

/* Returns 0 or a negative errno. Who opened both ends closes them. */
int channel_open(struct channel *channel);

/*
 * Send a connection; the caller closes its own descriptor of it. Until it has,
 * the connection outlives the receiver's close, and stays in the receiver's
 * epoll unless taken out of it before. Never blocks. Returns 0, or a negative
 * errno where the caller must keep it.
 */
int channel_send(const struct channel *to, int connection);

/*
 * The next connection that was sent, or a negative errno (-EAGAIN: none). Both
 * of these may be called in a signal handler.
 */
int channel_receive(const struct channel *channel);

#endif
