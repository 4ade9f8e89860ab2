#include "http/media_type.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	PARAMETERS_MAX =
	    sizeof(((struct media_type *)0)->parameters) / sizeof(const char *)
};

/* Whether a parameter of a range has another value than the type's own. */
static bool
contradicts(const char *parameter, const struct media_type *type)
{
	for (size_t i = 0; i < PARAMETERS_MAX && type->parameters[i]; i++) {
		const char *own = type->parameters[i];
		size_t name_length = strcspn(own, "=") + 1;

		if (strncasecmp(parameter, own, name_length) == 0)
			return strncmp(parameter + name_length,
				   own + name_length,
				   strlen(own) - name_length) != 0;
	}
	return false;
}

/*
 * The quality of one media range, of `length` bytes; 0 if a parameter says that
 * it is another type.
 */
static double
read_range(const char *range, size_t length, const struct media_type *type)
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
		else if (contradicts(p, type))
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
			double quality = read_range(range, length, type);

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
