/*
 * A file that nginx sends: the header X-Accel-Redirect names it, below the
 * location /.files/ (nginx/files.conf.template).
 */
#include "http/response_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool
is_valid(const char *name)
{
	if (!*name || *name == '/' || strlen(name) > RESPONSE_FILE_NAME_MAX)
		return false;
	for (const char *p = name; *p; p++)
		if (iscntrl((unsigned char)*p))
			return false;
	return strstr(name, "..") == NULL;
}

/* nginx decodes the address and cuts a query off. */
static void
encode(char *out, const char *name)
{
	for (; *name; name++)
		if (isalnum((unsigned char)*name) || strchr("/-._~", *name))
			*out++ = *name;
		else
			out += sprintf(out, "%%%02X", (unsigned char)*name);
	*out = '\0';
}

void
response_file(
    struct response *response, const char *content_type, const char *name)
{
	char address[sizeof(RESPONSE_FILES) + 3 * RESPONSE_FILE_NAME_MAX] =
	    RESPONSE_FILES;

	if (!is_valid(name)) {
		response_problem(response, 404, "There is no such file.");
		return;
	}
	encode(address + strlen(address), name);
	response_text(response, 200, "");
	response->content_type = content_type;
	response_header(response, "X-Accel-Redirect", address);
}
