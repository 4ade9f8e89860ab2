/*
 * Part of the build: fails if sandbox.def has a line twice. The compiler fails
 * for a system call that does not exist (worker/grants.c).
 */
#include <stdio.h>
#include <string.h>

static const char *const grants[] = {
#define ALLOW_NETWORK       "ALLOW_NETWORK",
#define ALLOW_WRITE(folder) "ALLOW_WRITE(" #folder ")",
#define ALLOW_SYSCALL(name) "ALLOW_SYSCALL(" #name ")",
#include "../fcgi/app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
    NULL};

int
main(void)
{
	int status = 0;

	for (int i = 0; grants[i]; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(grants[i], grants[k]) == 0) {
				fprintf(stderr,
				    "fcgi/app/sandbox.def: %s: it is there "
				    "twice\n",
				    grants[i]);
				status = 1;
				break;
			}
	return status;
}
