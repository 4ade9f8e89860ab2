#include "http/media_type.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * The quality of one media range, of `length` bytes; 0 where its version
 * parameter is not the wanted one.
 */
static double
read_range(const char *range, size_t length, const char *version)
{
	const char *end = range + length;
	double quality = 1;

	for (const char *p = memchr(range, ';', length); p && p < end;
	     p = memchr(p, ';', (size_t)(end - p))) {
		p++;
		while (p < end && *p == ' ')
			p++;
		if (strncasecmp(p, "q=", 2) == 0)
			quality = strtod(p + 2, NULL);
		else if (version && strncasecmp(p, "version=", 8) == 0 &&
			 strncmp(p + 8, version, strlen(version)) != 0)
			return 0;
	}
	if (!(quality > 0)) /* NaN, too */
		return 0;
	return quality > 1 ? 1 : quality;
}

double
media_type_quality(const char *accept, const struct media_type *type)
{
	size_t name_length = strlen(type->name);
	double best = 0;

	for (const char *range = accept; *range;) {
		size_t length = strcspn(range, ",");

		if (strcspn(range, ",; ") == name_length &&
		    strncasecmp(range, type->name, name_length) == 0) {
			double quality =
			    read_range(range, length, type->version);

			if (quality > best)
				best = quality;
		}
		range += length;
		range += strspn(range, ", ");
	}
	return best;
}

int
media_type_choose(
    const char *accept, const struct media_type *types, size_t count)
{
	double best = 0;
	int choice = -1;

	for (size_t i = 0; i < count; i++) {
		double quality = media_type_quality(accept, &types[i]);

		if (quality > best) {
			best = quality;
			choice = (int)i;
		}
	}
	return choice;
}
