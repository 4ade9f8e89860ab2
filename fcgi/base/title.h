#ifndef TITLE_H
#define TITLE_H

/*
 * The process title: the command line that ps(1) and top(1) show.
 */

/*
 * Prepare for title_set(). Call it first in main(). The strings of argv and of
 * the environment move to the heap, where they live until the process ends, and
 * argv[] and environ point to the copies. Without memory nothing changes, and
 * titles cannot be set.
 */
void title_init(int argc, char **argv);

/*
 * Set the title of this process to "PROGRAM: " and the text, made as by
 * printf(3). PROGRAM is the file name in argv[0]. The title is cut where the
 * original command line and environment end. Does nothing before title_init().
 * Makes no system calls.
 */
void title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
