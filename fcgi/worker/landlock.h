#ifndef LANDLOCK_H
#define LANDLOCK_H

/*
 * Landlock (Linux 5.13): the process may change files below some folders only.
 * It may still read all files that its user can read.
 *
 *   int rules = landlock_open();
 *   landlock_allow(rules, "/var/lib/notes");
 *   landlock_enter(rules);
 */

/*
 * Begin a set of rules. Returns a descriptor, or a negative errno: -ENOSYS or
 * -EOPNOTSUPP if the kernel has no Landlock.
 */
int landlock_open(void);

/*
 * Allow to create, change, rename and remove files below this folder. Returns 0
 * or a negative errno: -ENOTDIR if it is not a folder.
 */
int landlock_allow(int rules, const char *folder);

/*
 * From now on this process can change files only where the rules allow it, and
 * gets EACCES elsewhere. Files that are open stay so. Closes the rules. The
 * process must have no_new_privs. Returns 0 or a negative errno.
 */
int landlock_enter(int rules);

#endif
