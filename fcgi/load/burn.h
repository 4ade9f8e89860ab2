#ifndef BURN_H
#define BURN_H

#include <sys/types.h>

#include "load/load.h"

/*
 * Burn CPU time and hold memory in this process until load->seconds have passed
 * or SIGTERM or SIGINT arrives. parent is the pid of the process that forked
 * this one: when it dies, this process is killed, and it exits at once if the
 * parent is dead already. The kernel kills this process first when memory runs
 * out. Does not return: exits with 0, or with 1 if memory or threads could not
 * be allocated.
 */
_Noreturn void load_burn(const struct load *load, pid_t parent);

#endif
