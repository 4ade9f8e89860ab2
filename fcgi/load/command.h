#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

#include "load/load.h"

/*
 * Run load_burn() in a child process and show usage, throttling and memory
 * every second: bars in place on a terminal, lines otherwise, nothing if quiet.
 * Returns the exit status: 0; 1 if the load failed or the kernel killed it;
 * 128 + n if this process received signal n.
 */
int load_command(const struct load *load, bool quiet);

#endif
