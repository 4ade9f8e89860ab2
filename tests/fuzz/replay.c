/*
 * Replays a fuzzer's corpus without libFuzzer, as a unit test: every seed, and
 * every input that once crashed it.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fuzz.h"

static int
replay(const char *name)
{
	static uint8_t data[1 << 20];
	char path[512];
	FILE *file;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
	file = fopen(path, "rb");
	if (!file)
		return 0;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	return 1;
}

static void
every_input_of_the_corpus_is_survived(void **state)
{
	DIR *folder = opendir(CORPUS);
	const struct dirent *entry;
	int count = 0;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			count += replay(entry->d_name);
	closedir(folder);
	assert_true(count > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_input_of_the_corpus_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
