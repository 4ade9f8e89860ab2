#include "base/number.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_MAX = 32 };

int
number_parse(const char *text, double *value)
{
	size_t digits = strspn(text, "0123456789");
	size_t length = digits;

	if (text[length] == '.')
		length += 1 + strspn(text + length + 1, "0123456789");
	if (digits == 0 || text[length] != '\0' || text[length - 1] == '.' ||
	    length > LENGTH_MAX)
		return -EINVAL;
	*value = strtod(text, NULL);
	return 0;
}
