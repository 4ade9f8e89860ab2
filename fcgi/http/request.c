/*
 * Methods, parameters of the path and the query, cookies and the Accept header
 * of a request.
 */
#include "http/request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/media_type.h"

static const char *const method_names[METHOD_COUNT] = {
    [METHOD_GET] = "GET",
    [METHOD_HEAD] = "HEAD",
    [METHOD_POST] = "POST",
    [METHOD_PUT] = "PUT",
    [METHOD_DELETE] = "DELETE",
    [METHOD_OPTIONS] = "OPTIONS",
    [METHOD_PATCH] = "PATCH",
    [METHOD_OTHER] = "other",
};

const char *
request_method_name(enum method method)
{
	return method_names[method];
}

enum method
request_method_parse(const char *name)
{
	for (int i = 0; i < METHOD_OTHER; i++)
		if (strcmp(name, method_names[i]) == 0)
			return (enum method)i;
	return METHOD_OTHER;
}

const char *
request_parameter(const struct request *request, const char *name)
{
	const char *word = request->route ? strchr(request->route, '{') : NULL;
	size_t length = strlen(name);

	for (size_t i = 0; word; i++, word = strchr(word + 1, '{'))
		if (strncmp(word + 1, name, length) == 0 &&
		    word[1 + length] == '}')
			return request->parameters[i];
	return "";
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode length bytes of a query component, in which "+" is a space. */
static int
decode(const char *text, size_t length, char *value, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		char c = text[i] == '+' ? ' ' : text[i];

		if (c == '%') {
			int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
			int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || used + 1 >= size)
			return -EINVAL;
		value[used++] = c;
	}
	value[used] = '\0';
	return 0;
}

int
request_query(
    const struct request *request, const char *name, char *value, size_t size)
{
	size_t name_length = strlen(name);
	const char *pair = request->query;

	value[0] = '\0';
	while (*pair) {
		size_t length = strcspn(pair, "&");

		if (length > name_length && pair[name_length] == '=' &&
		    strncmp(pair, name, name_length) == 0) {
			int error = decode(pair + name_length + 1,
			    length - name_length - 1, value, size);

			if (error)
				value[0] = '\0';
			return error ? error : 1;
		}
		if (length == name_length && strncmp(pair, name, length) == 0)
			return 1;
		pair += length + (pair[length] == '&');
	}
	return 0;
}

/* Copy a cookie's value of this length without the spaces and quotes around. */
static int
copy_cookie(const char *text, size_t length, char *value, size_t size)
{
	while (length > 0 && strchr(" \t", text[length - 1]))
		length--;
	if (length >= 2 && text[0] == '"' && text[length - 1] == '"') {
		text++;
		length -= 2;
	}
	if (length >= size)
		return -ENOSPC;
	memcpy(value, text, length);
	value[length] = '\0';
	return 1;
}

static bool
is_known(const char *const known[], const char *name, size_t length)
{
	for (; *known; known++)
		if (strlen(*known) == length &&
		    strncmp(*known, name, length) == 0)
			return true;
	return false;
}

int
request_query_unknown(const struct request *request, const char *const known[],
    char *name, size_t size)
{
	const char *pair = request->query;

	while (*pair) {
		size_t length = strcspn(pair, "&");
		size_t name_length = strcspn(pair, "&=");

		if (length > 0 && !is_known(known, pair, name_length)) {
			if (name_length >= size)
				name_length = size - 1;
			memcpy(name, pair, name_length);
			name[name_length] = '\0';
			return 1;
		}
		pair += length + (pair[length] == '&');
	}
	return 0;
}

int
request_cookie(
    const struct request *request, const char *name, char *value, size_t size)
{
	size_t name_length = strlen(name);
	const char *pair = request->cookie ? request->cookie : "";

	value[0] = '\0';
	while (*pair) {
		size_t length;

		pair += strspn(pair, "; \t");
		length = strcspn(pair, ";");
		if (length > name_length && pair[name_length] == '=' &&
		    memcmp(pair, name, name_length) == 0)
			return copy_cookie(pair + name_length + 1,
			    length - name_length - 1, value, size);
		pair += length;
	}
	return 0;
}

bool
request_accepts(const struct request *request, const char *media_type)
{
	const struct media_type type = {.name = media_type};

	return media_type_quality(request->accept, &type) > 0;
}

bool
request_is_cross_site(const struct request *request)
{
	const char *site = request->fetch_site;
	const char *authority = strstr(request->origin, "://");

	if (*site)
		return strcmp(site, "cross-site") == 0 ||
		       strcmp(site, "same-site") == 0;
	if (!*request->origin)
		return false;
	return !authority || strcasecmp(authority + 3, request->host) != 0;
}
