/*
 * Part of the build: fails if sandbox.def has a line twice, or a system call
 * that does not exist.
 */
#include <stdio.h>
#include <string.h>

#include <seccomp.h>

/* The text of a macro after its expansion. */
#define TEXT(macro)     TEXT_OF(macro)
#define TEXT_OF(tokens) #tokens

static const struct grant {
	int line;
	const char *text;
	const char *call; /* the text of its number */
} grants[] = {
#define ALLOW_NETWORK       {__LINE__, "ALLOW_NETWORK", ""},
#define ALLOW_WRITE(folder) {__LINE__, "ALLOW_WRITE(" #folder ")", ""},
#define ALLOW_SYSCALL(name)                                                    \
	{__LINE__, "ALLOW_SYSCALL(" #name ")", TEXT(SCMP_SYS(name))},
#include "../fcgi/app/sandbox.def"
#undef ALLOW_NETWORK
#undef ALLOW_WRITE
#undef ALLOW_SYSCALL
    {0},
};

/* What is wrong with a line; NULL: nothing. */
static const char *
find_fault(const struct grant *grant)
{
	/* libseccomp has a macro of this prefix for each system call. */
	if (strstr(grant->call, "__SNR_"))
		return "there is no such system call";
	for (const struct grant *other = grants; other < grant; other++)
		if (strcmp(grant->text, other->text) == 0)
			return "it is there twice";
	return NULL;
}

int
main(void)
{
	int status = 0;

	for (const struct grant *grant = grants; grant->text; grant++) {
		const char *fault = find_fault(grant);

		if (!fault)
			continue;
		fprintf(stderr, "fcgi/app/sandbox.def:%d: %s: %s\n",
		    grant->line, grant->text, fault);
		status = 1;
	}
	return status;
}
