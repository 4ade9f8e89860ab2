/*
 * Part of the build: fails if sandbox.def has a line twice. The compiler fails
 * for a system call that does not exist (worker/grants.c).
 */
#include <stdio.h>
#include <string.h>

static const struct grant {
	int line;
	const char *text;
} grants[] = {
#define ALLOW_NETWORK       {__LINE__, "ALLOW_NETWORK"},
#define ALLOW_WRITE(folder) {__LINE__, "ALLOW_WRITE(" #folder ")"},
#define ALLOW_SYSCALL(name) {__LINE__, "ALLOW_SYSCALL(" #name ")"},
#include "../fcgi/app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
    {0},
};

int
main(void)
{
	int status = 0;

	for (const struct grant *grant = grants; grant->text; grant++)
		for (const struct grant *other = grants; other < grant; other++)
			if (strcmp(grant->text, other->text) == 0) {
				fprintf(stderr,
				    "fcgi/app/sandbox.def:%d: %s: it is there "
				    "twice\n",
				    grant->line, grant->text);
				status = 1;
				break;
			}
	return status;
}
