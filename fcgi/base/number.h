#ifndef NUMBER_H
#define NUMBER_H

/*
 * Read a decimal number such as 0.5 or 30. No sign, exponent, NaN, infinity or
 * trailing text is allowed, and at most 32 characters. Returns 0 or -EINVAL.
 */
int number_parse(const char *text, double *value);

#endif
