#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>

static bool
is_leap_year(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap_year(year) ? 29 : days[month - 1];
}

/* gmtime_r() and strftime() take locks. */
void
clock_format(int64_t wall_ns, char text[CLOCK_TEXT_SIZE])
{
	int64_t left = wall_ns / CLOCK_NS_PER_MS; /* ms of this second */
	int64_t seconds = left / 1000;
	int days = (int)(seconds / 86400);
	int year = 1970;
	int month = 1;

	left %= 1000;
	seconds %= 86400;
	for (; days >= 365 + is_leap_year(year); year++)
		days -= 365 + is_leap_year(year);
	for (; days >= days_in_month(year, month); month++)
		days -= days_in_month(year, month);
	snprintf(text, CLOCK_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
	    year, month, days + 1, (int)seconds / 3600, (int)seconds / 60 % 60,
	    (int)seconds % 60, (int)left);
}
