#ifndef NUMBER_H
#define NUMBER_H

#include <stddef.h>

/*
 * Read a decimal number such as 0.5 or 30. No sign, exponent, NaN, infinity or
 * trailing text is allowed, and at most 32 characters. Returns 0 or -EINVAL.
 */
int number_parse(const char *text, double *value);

/* The smallest multiple of unit, which is above 0, that is at least size. */
static inline size_t
number_round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

#endif
