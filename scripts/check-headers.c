/*
 * Part of the build: fails if headers.def declares a header twice, or one that
 * the program cannot get.
 */
#include <stdio.h>
#include <string.h>

static const char *const headers[] = {
#define HEADER(name) #name,
#include "../fcgi/app/headers.def"
#undef HEADER
    NULL};

enum { NAME_LENGTH_MAX = 58 };

/* Returns what is wrong with a name, or NULL. */
static const char *
find_fault(const char *name)
{
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
		return "a name has only a to z, 0 to 9, and _ for -";
	if (strlen(name) > NAME_LENGTH_MAX)
		return "a name has at most 58 characters";
	if (strcmp(name, "content_type") == 0)
		return "every request has it: read request->content_type";
	if (strcmp(name, "content_length") == 0)
		return "every request has it: read request->body_length";
	return NULL;
}

int
main(void)
{
	int status = 0;

	for (int i = 0; headers[i]; i++) {
		const char *fault = find_fault(headers[i]);

		for (int k = 0; k < i && !fault; k++)
			if (strcmp(headers[i], headers[k]) == 0)
				fault = "it is declared twice";
		if (fault) {
			fprintf(stderr,
			    "fcgi/app/headers.def: header \"%s\": %s\n",
			    headers[i], fault);
			status = 1;
		}
	}
	return status;
}
