#ifndef NGINX_LOCATIONS_H
#define NGINX_LOCATIONS_H

#include <stdio.h>

/*
 * Print the locations of nginx.conf for the paths of routes.def: which go to
 * the blocking workers, and which are limited. A literal path has an exact
 * location. Paths with {words} have one for all that they begin with up to a
 * {word}. The upstreams and zones are nginx.conf.template's. blocking_workers
 * bounds how many requests may wait for one of them. The limit for a body is
 * the largest of the path's lines; workers apply each line's own. Builds the
 * router's table.
 */
void nginx_locations_print(FILE *out, unsigned blocking_workers);

/*
 * Print what belongs into the http block for bodies: the limit of routes
 * without BODY(), the variable $body_max, which is the limit of the path in
 * bytes, and the zone "bodies" if a route has a larger limit. Builds the
 * router's table.
 */
void nginx_bodies_print(FILE *out);

#endif
