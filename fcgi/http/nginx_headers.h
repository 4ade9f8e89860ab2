#ifndef NGINX_HEADERS_H
#define NGINX_HEADERS_H

#include <stdio.h>

/* Print a fastcgi_param for each request header of headers.def. */
void nginx_headers_print(FILE *out);

#endif
