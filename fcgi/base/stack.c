/*
 * The stack is read with libgcc's unwinder, from the .eh_frame of each module.
 * (The C library has no frame pointers.) Since glibc 2.35 the unwinder finds
 * .eh_frame without a lock.
 */
#include "base/stack.h"

#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#include "base/program.h"

enum {
	MODULES_MAX = 64,
	NAME_SIZE = 32, /* longer names are cut */
	/* Two frames of vector registers and the log's buffers need half. */
	ALTERNATE_SIZE = 65536,
	BUILD_ID_MAX = 32, /* bytes; the linkers' have 16 or 20 */
};

/* The code of a program or library in memory. */
struct module {
	char name[NAME_SIZE];
	uintptr_t base; /* of address 0 of its file */
	uintptr_t begin;
	uintptr_t end;
};

static struct module modules[MODULES_MAX];
static size_t module_count;
static char build_id[2 * BUILD_ID_MAX + 1];

/* The registers that a signal has interrupted. */
#ifdef __x86_64__
#define PC(context) ((context)->uc_mcontext.gregs[REG_RIP])
#define SP(context) ((context)->uc_mcontext.gregs[REG_RSP])
#else
#define PC(context) ((context)->uc_mcontext.pc)
#define SP(context) ((context)->uc_mcontext.sp)
#endif
typedef __typeof__(PC((ucontext_t *)0)) stack_register;

/* Of stack_format(), while it reads what may be damaged; else NULL. The handler
 * of a fault reads it, so it is written before the access that may fault. */
static _Thread_local sigjmp_buf *volatile escape;

/* --- modules -------------------------------------------------------------- */

static void
read_build_id(const char *bytes, size_t size)
{
	while (size >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *note = (const void *)bytes;
		const char *name = bytes + sizeof(*note);
		const char *id = name + ((note->n_namesz + 3u) & ~3u);
		size_t length =
		    (size_t)(id - bytes) + ((note->n_descsz + 3u) & ~3u);

		if (length > size)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    memcmp(name, "GNU", 4) == 0 &&
		    note->n_descsz <= BUILD_ID_MAX)
			for (unsigned i = 0; i < note->n_descsz; i++)
				snprintf(build_id + 2 * i, 3, "%02x",
				    (unsigned char)id[i]);
		bytes += length;
		size -= length;
	}
}

static int
note_module(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct module *module = &modules[module_count];
	const char *slash = strrchr(info->dlpi_name, '/');
	bool is_program = module_count == 0;

	(void)size;
	(void)argument;
	if (module_count == MODULES_MAX)
		return 1;
	*module =
	    (struct module){.base = info->dlpi_addr, .begin = UINTPTR_MAX};
	snprintf(module->name, sizeof(module->name), "%.31s",
	    is_program ? PROGRAM_NAME
	    : slash    ? slash + 1
		       : info->dlpi_name);
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_NOTE && is_program)
			read_build_id((const char *)begin, part->p_memsz);
		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
			continue;
		if (begin < module->begin)
			module->begin = begin;
		if (begin + part->p_memsz > module->end)
			module->end = begin + part->p_memsz;
	}
	module_count++;
	return 0;
}

static const struct module *
find_module(uintptr_t address)
{
	for (size_t i = 0; i < module_count; i++)
		if (address >= modules[i].begin && address < modules[i].end)
			return &modules[i];
	return NULL;
}

static _Unwind_Reason_Code
count_frame(struct _Unwind_Context *context, void *count)
{
	(void)context;
	++*(int *)count;
	return _URC_NO_REASON;
}

void
stack_prepare(void)
{
	int count = 0;

	module_count = 0;
	dl_iterate_phdr(note_module, NULL);
	/* The unwinder prepares itself in its first call. */
	_Unwind_Backtrace(count_frame, &count);
}

void
stack_use_alternate(void)
{
	static _Alignas(16) char memory[ALTERNATE_SIZE];
	const stack_t alternate = {.ss_sp = memory, .ss_size = sizeof(memory)};
	stack_t found;

	if (sigaltstack(NULL, &found) == 0 && (found.ss_flags & SS_DISABLE))
		sigaltstack(&alternate, NULL);
}

const char *
stack_build_id(void)
{
	return build_id;
}

/* --- frames --------------------------------------------------------------- */

struct walk {
	uintptr_t frames[STACK_FRAMES_MAX];
	size_t count;
	uintptr_t start; /* the last of `frames` before the walk */
	bool has_begun;  /* `start` was passed; before it are our handlers */
	size_t steps;
};

static _Unwind_Reason_Code
add_frame(struct _Unwind_Context *context, void *argument)
{
	struct walk *walk = argument;
	int is_exact = 0;
	uintptr_t address = _Unwind_GetIPInfo(context, &is_exact);

	/* A return address is behind the call, perhaps in another line. */
	if (!is_exact)
		address--;
	if (address == 0 || address == UINTPTR_MAX)
		return _URC_END_OF_STACK;
	if (walk->has_begun)
		walk->frames[walk->count++] = address;
	else
		walk->has_begun = address == walk->start;
	return walk->count < STACK_FRAMES_MAX &&
		       ++walk->steps < 2 * STACK_FRAMES_MAX
		   ? _URC_NO_REASON
		   : _URC_END_OF_STACK;
}

/* Go back to the caller, from before the first instruction of a function. */
static void
leave_function(ucontext_t *context)
{
#ifdef __x86_64__
	PC(context) = *(const stack_register *)SP(context);
	SP(context) += (stack_register)sizeof(stack_register);
#else
	PC(context) = context->uc_mcontext.regs[30];
#endif
	PC(context)--; /* into the call */
}

/*
 * Read the frames. Where a call of a bad pointer has led to a place without
 * code, nothing says how to go on, so go on with the caller.
 */
static void
read_frames(struct walk *walk, ucontext_t *context)
{
	sigjmp_buf *const outer = escape; /* of the walk that this interrupts */
	sigjmp_buf here;

	walk->start = (uintptr_t)PC(context);
	walk->frames[walk->count++] = walk->start;
	if (sigsetjmp(here, 0) == 0) {
		escape = &here;
		if (!find_module(walk->start)) {
			leave_function(context);
			walk->start = (uintptr_t)PC(context);
			walk->frames[walk->count++] = walk->start;
		}
		_Unwind_Backtrace(add_frame, walk);
	}
	escape = outer;
}

void
stack_escape(void)
{
	if (escape)
		siglongjmp(*escape, 1);
}

void
stack_format(void *context, char text[STACK_TEXT_SIZE])
{
	ucontext_t *interrupted = context;
	const stack_register pc = PC(interrupted);
	const stack_register sp = SP(interrupted);
	struct walk walk = {0};
	size_t used = 0;

	read_frames(&walk, interrupted);
	PC(interrupted) = pc;
	SP(interrupted) = sp;
	text[0] = '\0';
	for (size_t i = 0; i < walk.count; i++) {
		const struct module *module = find_module(walk.frames[i]);

		used += (size_t)snprintf(text + used, STACK_TEXT_SIZE - used,
		    "%s%s%s0x%lx", i ? " " : "", module ? module->name : "",
		    module ? "+" : "",
		    walk.frames[i] - (module ? module->base : 0));
	}
}
