/*
 * The router, a tree of paths and the query parser: "path\nquery".
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "base/number.h"
#include "http/path_tree.h"
#include "http/request.h"
#include "http/router.h"

/* Paths for which a search goes back, and one with as many words as can be. */
static const char *const paths[] = {"/", "/a", "/a/", "/a/{x}", "/a/b/d",
    "/a/{x}/c", "/{x}/b", "/{x}/{y}/c/d", "/{1}/{2}/{3}/{4}/{5}/{6}/{7}/{8}"};

enum { PATH_COUNT = sizeof(paths) / sizeof(paths[0]), SEGMENTS = 32 };

static struct path_tree tree;

static void
open_all(void)
{
	static struct path_tree_node nodes[PATH_TREE_SIZE(SEGMENTS)];

	router_open(true);
	path_tree_init(&tree, nodes, PATH_TREE_SIZE(SEGMENTS));
	for (int i = 0; i < PATH_COUNT; i++)
		*path_tree_add(&tree, paths[i]) = i;
}

/* What a match says is the path itself. */
static void
check_match(const char *path)
{
	struct path_tree_match match;
	int number = path_tree_find(&tree, path, &match);
	const char *at = path;
	size_t word = 0;

	if (number == PATH_TREE_NONE)
		return;
	for (const char *p = paths[number]; *p; p++) {
		if (*p != '{') {
			assert(*at++ == *p);
			continue;
		}
		assert(match.words[word].text == at);
		assert(match.words[word].length == strcspn(at, "/"));
		assert(match.words[word].length > 0);
		at += match.words[word++].length;
		p = strchr(p, '}');
	}
	assert(*at == '\0' && match.count == word);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const known[] = {"seconds", "load", "memory", NULL};
	char *path = strndup((const char *)data, size);
	char *query = strchr(path, '\n');
	struct request request = {.accept = ""};
	char value[32];
	double number;
	int endpoint;

	if (!tree.nodes)
		open_all();
	if (query)
		*query++ = '\0';
	request.query = query ? query : "";
	endpoint = router_find(METHOD_GET, path);
	assert(endpoint >= 0 && endpoint < ENDPOINT_COUNT);
	check_match(path);
	for (int i = 0; known[i]; i++)
		if (request_query(&request, known[i], value, sizeof(value)) >
			0 &&
		    number_parse(value, &number) == 0)
			assert(number >= 0);
	request_query_unknown(&request, known, value, sizeof(value));
	assert(strlen(value) < sizeof(value));
	free(path);
	return 0;
}
