#include "http/path_tree.h"

#include <string.h>

#include "base/hash.h"

/*
 * A parent has two kinds of children, with a key each. Literal segments are
 * found by their text. The {word} is found by no text: it has the length 0.
 */
enum kind { LITERAL, WORD };

static uint32_t
key_of(size_t parent, enum kind kind)
{
	return (uint32_t)(2 * parent + kind);
}

/* The root is no node: its keys are behind those of the nodes. */
static size_t
root_of(const struct path_tree *tree)
{
	return tree->size;
}

/* The node of a segment, or the free node where it belongs. */
static struct path_tree_node *
place_of(const struct path_tree *tree, uint32_t key, const char *segment,
    size_t length)
{
	uint64_t start = HASH_START ^ (uint64_t)key << 32;
	uint64_t hash = hash_add(start, segment, length);
	size_t at = (size_t)(hash ^ hash >> 32);

	for (;; at++) {
		struct path_tree_node *node =
		    &tree->nodes[at & (tree->size - 1)];

		if (!node->segment ||
		    (node->key == key && node->length == length &&
			memcmp(node->segment, segment, length) == 0))
			return node;
	}
}

void
path_tree_init(
    struct path_tree *tree, struct path_tree_node *nodes, size_t size)
{
	memset(nodes, 0, size * sizeof(*nodes));
	*tree = (struct path_tree){nodes, size};
}

int32_t *
path_tree_add(struct path_tree *tree, const char *path)
{
	size_t parent = root_of(tree);

	for (;;) {
		const char *segment = path + 1;
		enum kind kind = *segment == '{' ? WORD : LITERAL;
		uint32_t key = key_of(parent, kind);
		struct path_tree_node *node;
		size_t length;

		path = strchrnul(segment, '/');
		length = kind == WORD ? 0 : (size_t)(path - segment);
		node = place_of(tree, key, segment, length);
		if (!node->segment)
			*node = (struct path_tree_node){
			    segment, (uint32_t)length, key, PATH_TREE_NONE};
		if (!*path)
			return &node->number;
		parent = (size_t)(node - tree->nodes);
	}
}

static int find_below(const struct path_tree *tree, size_t parent,
    const char *segment, struct path_tree_match *match);

/* Find the rest of a path, behind the segment of this node. */
static int
find_rest(const struct path_tree *tree, const struct path_tree_node *node,
    const char *rest, struct path_tree_match *match)
{
	if (!node->segment)
		return PATH_TREE_NONE;
	if (!*rest)
		return node->number;
	return find_below(tree, (size_t)(node - tree->nodes), rest + 1, match);
}

/*
 * Find a path from this segment on. If the literal leads nowhere, try the
 * {word}: "/a/{x}/c" matches "/a/b/c" also where there is an "/a/b/d".
 */
static int
find_below(const struct path_tree *tree, size_t parent, const char *segment,
    struct path_tree_match *match)
{
	const char *rest = strchrnul(segment, '/');
	size_t length = (size_t)(rest - segment);
	int number = find_rest(tree,
	    place_of(tree, key_of(parent, LITERAL), segment, length), rest,
	    match);

	if (number != PATH_TREE_NONE || length == 0 ||
	    match->count == PATH_TREE_WORDS_MAX)
		return number;
	match->words[match->count].text = segment;
	match->words[match->count].length = length;
	match->count++;
	number = find_rest(tree,
	    place_of(tree, key_of(parent, WORD), segment, 0), rest, match);
	if (number == PATH_TREE_NONE)
		match->count--;
	return number;
}

int
path_tree_find(const struct path_tree *tree, const char *path,
    struct path_tree_match *match)
{
	match->count = 0;
	return *path == '/' ? find_below(tree, root_of(tree), path + 1, match)
			    : PATH_TREE_NONE;
}
