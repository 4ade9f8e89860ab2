#ifndef PATH_TREE_H
#define PATH_TREE_H

/*
 * Finds the path of a route, such as "/notes/{id}/tags", that a request's path
 * matches. The segments of all paths are the nodes of a tree. One hash table
 * holds all nodes, so a search takes one or two steps for each segment, however
 * many paths there are.
 *
 * A {word} matches one segment that is not empty. If a request matches several
 * paths, a literal segment goes before a {word}, and an earlier segment before
 * a later one: of "/a/{x}" and "/{x}/b", "/a/b" is the first.
 */

#include <stddef.h>
#include <stdint.h>

enum {
	PATH_TREE_WORDS_MAX = 8, /* in one path */
	PATH_TREE_NONE = -1,     /* no path matches */
};

/*
 * The number of nodes that a tree for so many segments needs: a power of two,
 * more than twice as many. A path of size bytes, its NUL included, has at most
 * size / 2 segments.
 */
#define PATH_TREE_SIZE(segments)                                               \
	((size_t)1 << (64 - __builtin_clzll(2ULL * (segments))))

struct path_tree_node {
	const char *segment; /* in the path that was added; NULL: free */
	uint32_t length;
	uint32_t key;   /* of the children's kind at the parent */
	int32_t number; /* of the path that ends here, or PATH_TREE_NONE */
};

struct path_tree {
	struct path_tree_node *nodes;
	size_t size; /* as PATH_TREE_SIZE() says */
};

/* What stands for the {words}, in their order. */
struct path_tree_match {
	size_t count;
	struct {
		const char *text; /* in the request's path; not terminated */
		size_t length;
	} words[PATH_TREE_WORDS_MAX];
};

/* Make an empty tree of these nodes, which the caller keeps. */
void path_tree_init(
    struct path_tree *tree, struct path_tree_node *nodes, size_t size);

/*
 * Add a path, which the caller keeps. Returns the place for its number, which
 * is PATH_TREE_NONE in a path that is new. Paths that differ only in the names
 * of their {words} are one path. The caller has checked the path: it begins
 * with a slash, only its last segment may be empty, and a {word} is a whole
 * segment (scripts/check-routes.c).
 */
int32_t *path_tree_add(struct path_tree *tree, const char *path);

/*
 * Returns the number of the path that a request's path matches, and what stands
 * for its {words}, or PATH_TREE_NONE.
 */
int path_tree_find(const struct path_tree *tree, const char *path,
    struct path_tree_match *match);

#endif
