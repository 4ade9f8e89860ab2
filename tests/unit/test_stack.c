/*
 * The stack of a process that a signal has interrupted, however damaged.
 */
#include "support.h"

#include <sys/mman.h>

#include "base/stack.h"

#define APART __attribute__((noinline))

static int answer[2];
static volatile int zero;
static bool is_asked_in_walk; /* SIGURG comes at the first fault of a walk */

/* --- what the child does -------------------------------------------------- */

static void
walk_again(int number, siginfo_t *info, void *context)
{
	char text[STACK_TEXT_SIZE];

	(void)number;
	(void)info;
	stack_format(context, text);
}

static void
tell(int number, siginfo_t *info, void *context)
{
	static int faults;
	char text[STACK_TEXT_SIZE];

	(void)number;
	(void)info;
	if (faults++ == 1 && is_asked_in_walk)
		raise(SIGURG);
	stack_escape();
	stack_format(context, text);
	if (write(answer[1], text, strlen(text)) < 0)
		_exit(97);
	_exit(0);
}

static int
prepare_and_run(void *argument)
{
	void (*const *run)(void) = argument;
	const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGABRT};
	const struct sigaction action = {.sa_sigaction = tell,
	    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	const struct sigaction question = {
	    .sa_sigaction = walk_again, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	stack_prepare();
	stack_use_alternate();
	sigaction(SIGURG, &question, NULL);
	for (size_t i = 0; i < COUNT(numbers); i++)
		sigaction(numbers[i], &action, NULL);
	(*run)();
	return 96;
}

static APART void
fault(void)
{
	*(volatile int *)(intptr_t)zero = 1;
}

static APART void
call_fault(void)
{
	fault();
	zero = 0; /* not a tail call */
}

static APART void
abort_here(void)
{
	abort();
}

static APART void
call_nothing(void)
{
	((void (*)(void))(intptr_t)zero)();
	zero = 0;
}

static APART void
call_data(void)
{
	static char data[64];

	((void (*)(void))(intptr_t)data)();
	zero = 0;
}

static APART int
recurse(volatile char *below)
{
	volatile char memory[4096];

	memory[0] = *below;
	return zero ? 0 : recurse(memory) + memory[0] + 1;
}

static APART void
overflow(void)
{
	char byte = 0;

	recurse(&byte);
}

static APART void
overwrite(volatile uintptr_t *frame, uintptr_t word)
{
	for (int i = 0; i < 64; i++)
		frame[i] = word;
}

/* Fill the frames of this function and of its callers with a word, and crash.
 */
#define SMASH(word)                                                            \
	do {                                                                   \
		overwrite(__builtin_frame_address(0), (uintptr_t)(word));      \
		*(volatile int *)(intptr_t)zero = 1;                           \
	} while (0)

static APART void
smash_with_garbage(void)
{
	SMASH(0x4141414141414141);
}

static APART void
smash_with_addresses_of_data(void)
{
	SMASH(&answer);
}

static APART void
smash_with_addresses_of_the_stack(void)
{
	SMASH(__builtin_frame_address(0));
}

static APART void
smash_with_addresses_of_code(void)
{
	SMASH((uintptr_t)call_fault + 4);
}

static APART void
smash_with_zeros(void)
{
	SMASH(0);
}

/* --- what the parent sees ------------------------------------------------- */

struct frames {
	size_t count;
	char names[STACK_FRAMES_MAX + 1][64];
	uintptr_t offsets[STACK_FRAMES_MAX + 1]; /* or addresses */
};

static struct frames
frames_of(void (*run)(void))
{
	struct frames frames = {0};
	char text[STACK_TEXT_SIZE] = "";
	char *rest = text;
	char *word;
	pid_t child;
	int status;

#ifdef __SANITIZE_ADDRESS__
	skip(); /* it reports such faults itself */
#endif
	assert_int_equal(pipe(answer), 0);
	child = support_fork(prepare_and_run, &run);
	close(answer[1]);
	assert_true(read(answer[0], text, sizeof(text) - 1) > 0);
	close(answer[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	while ((word = strsep(&rest, " "))) {
		char *plus = strchr(word, '+');

		assert_in_range(frames.count, 0, STACK_FRAMES_MAX - 1);
		frames.offsets[frames.count] =
		    strtoul(plus ? plus + 1 : word, NULL, 16);
		snprintf(frames.names[frames.count++], 64, "%.*s",
		    (int)(plus ? plus - word : 0), word);
	}
	return frames;
}

/* Where this program is in memory: a child has it at the same place. */
extern const char __executable_start;

static void
assert_is_in(const struct frames *frames, size_t i, void (*function)(void))
{
	uintptr_t offset = (uintptr_t)function - (uintptr_t)&__executable_start;

	assert_true(i < frames->count);
	assert_string_equal(frames->names[i], PROGRAM_NAME);
	assert_in_range(frames->offsets[i], offset, offset + 300);
}

static void
a_fault_has_its_function_and_the_callers(void **state)
{
	struct frames frames = frames_of(call_fault);

	(void)state;
	assert_is_in(&frames, 0, fault);
	assert_is_in(&frames, 1, call_fault);
}

static void
a_stack_goes_through_the_c_library(void **state)
{
	struct frames frames = frames_of(abort_here);
	size_t i = 0;

	(void)state;
	while (i < frames.count && strcmp(frames.names[i], "libc.so.6") == 0)
		i++;
	assert_true(i > 0);
	assert_is_in(&frames, i, abort_here);
}

static void
a_call_of_a_null_pointer_has_its_address_and_the_caller(void **state)
{
	struct frames frames = frames_of(call_nothing);

	(void)state;
	assert_string_equal(frames.names[0], "");
	assert_true(frames.offsets[0] == 0);
	assert_is_in(&frames, 1, call_nothing);
	assert_true(frames.count > 3);
}

static void
a_jump_into_data_has_its_address_and_the_caller(void **state)
{
	struct frames frames = frames_of(call_data);

	(void)state;
	assert_string_equal(frames.names[0], "");
	assert_true(frames.offsets[0] != 0);
	assert_is_in(&frames, 1, call_data);
}

static void
a_full_stack_has_as_many_frames_as_are_read(void **state)
{
	struct frames frames = frames_of(overflow);

	(void)state;
	assert_int_equal(frames.count, STACK_FRAMES_MAX);
	for (size_t i = 0; i < STACK_FRAMES_MAX; i++)
		assert_is_in(&frames, i, (void (*)(void))recurse);
}

static void
a_smashed_stack_ends_and_begins_with_the_function(void **state)
{
	static void (*const smashers[])(void) = {smash_with_garbage,
	    smash_with_addresses_of_data, smash_with_addresses_of_the_stack,
	    smash_with_addresses_of_code, smash_with_zeros};

	(void)state;
	for (size_t i = 0; i < COUNT(smashers); i++) {
		struct frames frames = frames_of(smashers[i]);

		assert_is_in(&frames, 0, smashers[i]);
	}
}

static void
a_walk_in_a_walk_does_not_disturb_it(void **state)
{
	struct frames frames;

	(void)state;
	is_asked_in_walk = true;
	frames = frames_of(smash_with_garbage);
	is_asked_in_walk = false;
	assert_is_in(&frames, 0, smash_with_garbage);
}

#ifdef __x86_64__
static APART void
lose_the_stack(void)
{
	__asm__ volatile("mov $16, %rsp; movl $0, 0");
}

static void
a_stack_pointer_to_nowhere_leaves_the_function(void **state)
{
	struct frames frames = frames_of(lose_the_stack);

	(void)state;
	assert_is_in(&frames, 0, lose_the_stack);
}
#endif

static void
the_build_id_is_that_of_the_file(void **state)
{
	const char *id = stack_build_id();
	unsigned char bytes[64];
	size_t count;
	size_t size;
	char *file;

	(void)state;
	stack_prepare();
	assert_in_range(count = strlen(id) / 2, 8, sizeof(bytes));
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sscanf(id + 2 * i, "%2hhx", &bytes[i]), 1);
	file = support_read("/proc/self/exe", &size);
	assert_non_null(memmem(file, size, bytes, count));
	free(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_build_id_is_that_of_the_file),
	    cmocka_unit_test(a_fault_has_its_function_and_the_callers),
	    cmocka_unit_test(a_stack_goes_through_the_c_library),
	    cmocka_unit_test(
		a_call_of_a_null_pointer_has_its_address_and_the_caller),
	    cmocka_unit_test(a_jump_into_data_has_its_address_and_the_caller),
	    cmocka_unit_test(a_full_stack_has_as_many_frames_as_are_read),
	    cmocka_unit_test(a_smashed_stack_ends_and_begins_with_the_function),
	    cmocka_unit_test(a_walk_in_a_walk_does_not_disturb_it),
#ifdef __x86_64__
	    cmocka_unit_test(a_stack_pointer_to_nowhere_leaves_the_function),
#endif
	};

	return SUPPORT_RUN(tests);
}
