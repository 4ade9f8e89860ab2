#ifndef UPGRADE_H
#define UPGRADE_H

/*
 * Brings in the program's file after it has changed, in the process of the
 * supervisor: its pid and its listening sockets stay. A state machine:
 *
 *   IDLE --try--> TRIAL --tried--> YIELDING --exec--> the new program
 *    ^              | fails           | fails
 *    '--------------+-----------------'
 *
 * TRIAL: the new program is run with --help behind the same arguments, which
 * shows that it runs and takes them. YIELDING: the workers drain. Requests wait
 * in the listen backlog, because no socket is closed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/sockets.h"

enum upgrade_state { UPGRADE_IDLE, UPGRADE_TRIAL, UPGRADE_YIELDING };

struct upgrade {
	char *const *argv; /* as this program got it */
	const char *path; /* that this program was executed by; NULL: unknown */
	enum upgrade_state state;
	pid_t trial;         /* UPGRADE_TRIAL: its process; otherwise 0 */
	int64_t trial_until; /* CLOCK_MONOTONIC ns */
};

/* argv is that of main(), is kept and must not change. */
void upgrade_init(struct upgrade *upgrade, char *const argv[]);

/* Whether the program's file is another one than the one that runs. */
bool upgrade_is_due(const struct upgrade *upgrade);

/* Begin a trial. A trial that is under way begins again. Not while yielding. */
void upgrade_try(struct upgrade *upgrade);

/*
 * Note what waitpid() told of the trial's process. Returns whether it has shown
 * that the new program works: then the caller ends all children and calls
 * upgrade_exec(). A failure is logged.
 */
bool upgrade_tried(struct upgrade *upgrade, int status);

/* To be called often: end a trial that takes too long. */
void upgrade_tick(const struct upgrade *upgrade, int64_t now);

/* The service ends: forget the new program. */
void upgrade_cancel(struct upgrade *upgrade);

/*
 * Execute the new program, which takes over the sockets. Returns only if that
 * fails, which is logged: then this program goes on.
 */
void upgrade_exec(struct upgrade *upgrade, const struct sockets *sockets);

#endif
