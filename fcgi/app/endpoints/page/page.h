#ifndef PAGE_H
#define PAGE_H

#include <stddef.h>

/*
 * The status page in one piece, and the Content-Security-Policy that lets its
 * script and its style run and no others. scripts/page makes them.
 */
extern const unsigned char page_html[];
extern const size_t page_html_length;
extern const char page_policy[];

#endif
