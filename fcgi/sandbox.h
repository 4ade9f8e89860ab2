#ifndef SANDBOX_H
#define SANDBOX_H

/*
 * From here on this process may only do what serving takes: no exec, no fork,
 * no network socket, no file written. What else it tries kills it. Returns 0,
 * or a negative errno where the kernel has no seccomp.
 */
int sandbox_enter(void);

#endif
