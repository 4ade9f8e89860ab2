#ifndef STACK_LOG_H
#define STACK_LOG_H

/*
 * Logs the call stack of this process, in one line: when it dies of a bug, and
 * when its parent asks what it is doing for so long. scripts/symbolize turns
 * the frames into functions and lines.
 */

#include <signal.h>

#include "scoreboard.h"

/* Asks a process for its stack. Processes without a handler ignore it. */
enum { STACK_LOG_SIGNAL = SIGURG };

/*
 * Handle the signals, for the process of this entry. It may be called again,
 * after libraries were loaded. A signal that has another handler keeps it, such
 * as those of a sanitizer.
 */
void stack_log_open(struct scoreboard_entry *entry);

/*
 * Ask a child for the stack of the request that it began at this time
 * (scoreboard.h). It logs nothing if it is on another request by then. With
 * kill(1), which names no request, it logs whatever is under way.
 */
void stack_log_ask(pid_t child, int64_t request_started);

/*
 * Log the stack that this signal has interrupted. For handlers of signals that
 * end the process. The handler of a fault calls stack_escape() first (stack.h).
 */
void stack_log_crash(int number, siginfo_t *info, void *context);

#endif
