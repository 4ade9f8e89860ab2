#ifndef STACK_H
#define STACK_H

/*
 * The call stack of a thread that a signal has interrupted, as text for a line
 * of the log. Reading it takes no lock, allocates nothing and makes no system
 * call. A stack that is damaged ends where it cannot be read any further.
 */

#include <stddef.h>

/* The frames that are read, and room for their text. */
enum { STACK_FRAMES_MAX = 32, STACK_TEXT_SIZE = 2048 };

/*
 * Note which programs and libraries this process has loaded. To be called
 * before a signal comes, and again after libraries were loaded.
 */
void stack_prepare(void);

/*
 * Let handlers with SA_ONSTACK run on a stack of their own in this thread, if
 * they have none, so that they run even if the thread's stack is full. For one
 * thread of the process.
 */
void stack_use_alternate(void);

/*
 * The build id that the linker has given to this program, in hexadecimal, or ""
 * if there is none. It is in the file's note NT_GNU_BUILD_ID (elf(5)).
 */
const char *stack_build_id(void);

/*
 * Write the stack that `context` (of a handler with SA_SIGINFO) interrupted,
 * innermost frame first, separated by spaces. A frame is MODULE+OFFSET, such as
 * libc.so.6+0x8ae3c: the offset is an address of the module's ELF file, in the
 * instruction that is running or that called the frame before. A frame outside
 * of all modules is its address, 0x7f0012345678.
 */
void stack_format(void *context, char text[STACK_TEXT_SIZE]);

/*
 * To be called first in every handler of a signal that a damaged stack can
 * cause, such as SIGSEGV: if stack_format() has caused it, stack_format() goes
 * on with the frames so far, and this does not return.
 */
void stack_escape(void);

#endif
