#ifndef NGINX_LOCATIONS_H
#define NGINX_LOCATIONS_H

#include <stdio.h>

/*
 * Print the locations of nginx.conf that routes.def asks for: which routes go
 * to the blocking workers, and which are limited. A route that is neither needs
 * none. The upstreams and zones are nginx.conf.template's. blocking_workers
 * bounds how many requests may wait for one of them.
 */
void nginx_locations_print(FILE *out, unsigned blocking_workers);

/* Print a fastcgi_param for each request header of headers.def. */
void nginx_headers_print(FILE *out);

#endif
