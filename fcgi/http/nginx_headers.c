#include "http/nginx_headers.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Headers that nginx.conf.template passes for every service. */
static bool
is_always_passed(const char *name)
{
	static const char *const names[] = {
	    "accept", "cookie", "origin", "sec_fetch_site"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void
nginx_headers_print(FILE *out)
{
	static const char *const names[] = {
#define HEADER(name) #name,
#include "app/headers.def"
#undef HEADER
	    NULL};

	for (const char *const *name = names; *name; name++) {
		if (is_always_passed(*name))
			continue;
		fputs("    fastcgi_param HTTP_", out);
		for (const char *p = *name; *p; p++)
			fputc(toupper((unsigned char)*p), out);
		fprintf(out, " $http_%s if_not_empty;\n", *name);
	}
}
