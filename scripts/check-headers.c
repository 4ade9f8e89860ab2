/*
 * Part of the build: fails if headers.def declares a header twice, or one that
 * the program cannot get.
 */
#include <stdio.h>
#include <string.h>

static const struct header {
	int line;
	const char *name;
} headers[] = {
#define HEADER(name) {__LINE__, #name},
#include "../fcgi/app/headers.def"
#undef HEADER
    {0},
};

enum { NAME_LENGTH_MAX = 58 };

/* Returns what is wrong with a name, or NULL. */
static const char *
find_fault(const char *name)
{
	if (!*name)
		return "it has no name: write HEADER(authorization)";
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

	for (const struct header *header = headers; header->name; header++) {
		const char *fault = find_fault(header->name);

		for (const struct header *other = headers;
		     other < header && !fault; other++)
			if (strcmp(header->name, other->name) == 0)
				fault = "it is declared twice";
		if (fault) {
			fprintf(stderr,
			    "fcgi/app/headers.def:%d: header \"%s\": %s\n",
			    header->line, header->name, fault);
			status = 1;
		}
	}
	return status;
}
