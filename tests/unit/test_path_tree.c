/*
 * Which of several paths a request's path matches, and with which {words}.
 */
#include "support.h"

#include "http/path_tree.h"

enum { SEGMENTS_MAX = 4096 };

static struct path_tree_node nodes[PATH_TREE_SIZE(SEGMENTS_MAX)];
static struct path_tree tree;
static struct path_tree_match match;

/* A tree of these paths; their numbers are their places in the list. */
#define OPEN(...) open_tree((const char *const[]){__VA_ARGS__, NULL})

static void
open_tree(const char *const paths[])
{
	path_tree_init(&tree, nodes, COUNT(nodes));
	for (int i = 0; paths[i]; i++) {
		int32_t *number = path_tree_add(&tree, paths[i]);

		assert_int_equal(*number, PATH_TREE_NONE);
		*number = i;
	}
}

static int
find(const char *path)
{
	return path_tree_find(&tree, path, &match);
}

/* The words of the latest match, with "|" between them. */
static const char *
words(void)
{
	static char text[256];
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < match.count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
		    "%s%.*s", i > 0 ? "|" : "", (int)match.words[i].length,
		    match.words[i].text);
	return text;
}

/* What a path finds, and with which words. */
static void
assert_found(const char *path, int number, const char *expected)
{
	int found = find(path);

	if (found != number)
		fail_msg("'%s' finds %d, not %d", path, found, number);
	if (number != PATH_TREE_NONE)
		assert_string_equal(words(), expected);
}

static void
assert_nothing_at(const char *path)
{
	assert_found(path, PATH_TREE_NONE, "");
}

static void
literal_paths_match_exactly(void **state)
{
	static const char *const others[] = {"", "*", "a", "a/b", "//", "/a/b/",
	    "//a/b", "/a//b", "/A/b", "/a/bb", "/a/b/c", "/aa", "/ab", "/a/ "};

	(void)state;
	OPEN("/", "/a", "/a/b", "/a/");
	assert_found("/", 0, "");
	assert_found("/a", 1, "");
	assert_found("/a/b", 2, "");
	assert_found("/a/", 3, "");
	for (size_t i = 0; i < COUNT(others); i++)
		assert_nothing_at(others[i]);
}

static void
words_match_whole_segments_anywhere(void **state)
{
	(void)state;
	OPEN("/notes/{id}/tags/{tag}", "/notes/{id}", "/{tenant}/notes",
	    "/{a}/{b}/{c}");
	assert_found("/notes/7/tags/blue", 0, "7|blue");
	assert_found("/notes/7", 1, "7");
	assert_found("/acme/notes", 2, "acme");
	assert_found("/x/y/z", 3, "x|y|z");
	assert_found("/notes/7/tags", 3, "notes|7|tags");
	assert_nothing_at("/notes");
	assert_nothing_at("/notes/7/tags/blue/x");
	assert_nothing_at("/x/y/z/");
}

static void
a_word_is_any_bytes_without_a_slash(void **state)
{
	(void)state;
	OPEN("/n/{id}", "/n/{id}/x");
	assert_found("/n/{id}", 0, "{id}");
	assert_found("/n/{", 0, "{");
	assert_found("/n/a b%2f?\n\377", 0, "a b%2f?\n\377");
	assert_found("/n/../x", 1, "..");
}

static void
an_empty_segment_matches_no_word(void **state)
{
	(void)state;
	OPEN("/n/{id}", "/n/{id}/x", "/{a}/y");
	assert_nothing_at("/n/");
	assert_nothing_at("/n//x");
	assert_nothing_at("//y");
	assert_nothing_at("/n");
}

static void
a_literal_goes_before_a_word(void **state)
{
	(void)state;
	OPEN("/n/{id}", "/n/all", "/{a}/all", "/{a}/{b}", "/n/{id}/x",
	    "/{a}/all/x");
	assert_found("/n/all", 1, "");
	assert_found("/n/other", 0, "other");
	assert_found("/m/all", 2, "m");
	assert_found("/m/other", 3, "m|other");
	/* The earlier segment counts more than the later one. */
	assert_found("/n/all/x", 4, "all");
	assert_found("/m/all/x", 5, "m");
}

static void
a_literal_that_leads_nowhere_gives_way_to_the_word(void **state)
{
	(void)state;
	OPEN(
	    "/a/b/d", "/a/{x}/c", "/{x}/b/c/e", "/{x}/{y}/{z}/f", "/a/b/{x}/g");
	assert_found("/a/b/d", 0, "");
	assert_found("/a/b/c", 1, "b");
	assert_found("/a/b/c/e", 2, "a");
	assert_found("/a/b/c/f", 3, "a|b|c");
	assert_found("/a/b/c/g", 4, "c");
	assert_nothing_at("/a/b");
	assert_nothing_at("/a/b/e");
}

static void
the_names_of_words_make_no_other_path(void **state)
{
	int32_t *number;

	(void)state;
	OPEN("/n/{id}", "/n/{id}/{tag}");
	number = path_tree_add(&tree, "/n/{note}");
	assert_int_equal(*number, 0);
	number = path_tree_add(&tree, "/n/{tag}/{id}");
	assert_int_equal(*number, 1);
	number = path_tree_add(&tree, "/n");
	assert_int_equal(*number, PATH_TREE_NONE);
}

static void
as_many_words_as_can_be_are_found(void **state)
{
	(void)state;
	OPEN("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}");
	assert_found("/1/2/3/4/5/6/7/8", 0, "1|2|3|4|5|6|7|8");
	assert_nothing_at("/1/2/3/4/5/6/7");
	assert_nothing_at("/1/2/3/4/5/6/7/8/9");
}

static void
a_segment_of_any_length_is_found(void **state)
{
	static char path[100000];

	(void)state;
	OPEN("/n/{id}/x");
	memset(path, 'a', sizeof(path));
	path[0] = path[2] = '/';
	path[1] = 'n';
	memcpy(path + sizeof(path) - 3, "/x", 3);
	assert_int_equal(find(path), 0);
	assert_int_equal(match.words[0].length, sizeof(path) - 6);
}

static void
each_of_a_thousand_paths_is_found(void **state)
{
	static char paths[SEGMENTS_MAX / 4][32];

	(void)state;
	path_tree_init(&tree, nodes, COUNT(nodes));
	for (int i = 0; i < (int)COUNT(paths); i++) {
		snprintf(paths[i], sizeof(paths[i]), "/%d/{x}/%d/y", i % 7, i);
		*path_tree_add(&tree, paths[i]) = i;
	}
	for (int i = 0; i < (int)COUNT(paths); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/%d/w/%d/y", i % 7, i);
		assert_found(path, i, "w");
		snprintf(path, sizeof(path), "/%d/w/%d/y", (i + 1) % 7, i);
		assert_nothing_at(path);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(literal_paths_match_exactly),
	    cmocka_unit_test(words_match_whole_segments_anywhere),
	    cmocka_unit_test(a_word_is_any_bytes_without_a_slash),
	    cmocka_unit_test(an_empty_segment_matches_no_word),
	    cmocka_unit_test(a_literal_goes_before_a_word),
	    cmocka_unit_test(
		a_literal_that_leads_nowhere_gives_way_to_the_word),
	    cmocka_unit_test(the_names_of_words_make_no_other_path),
	    cmocka_unit_test(as_many_words_as_can_be_are_found),
	    cmocka_unit_test(a_segment_of_any_length_is_found),
	    cmocka_unit_test(each_of_a_thousand_paths_is_found),
	};

	return SUPPORT_RUN(tests);
}
