#ifndef NGINX_LOCATIONS_H
#define NGINX_LOCATIONS_H

#include <stdio.h>

/*
 * Print the locations of nginx.conf for the paths of routes.def: which go to
 * the blocking workers, and which are limited. A literal path has an exact
 * location. Paths with {words} have one for all that they begin with up to a
 * {word}. The upstreams and zones are nginx.conf.template's. blocking_workers
 * bounds how many requests may wait for one of them. Builds the router's table.
 */
void nginx_locations_print(FILE *out, unsigned blocking_workers);

/* Print a fastcgi_param for each request header of headers.def. */
void nginx_headers_print(FILE *out);

#endif
