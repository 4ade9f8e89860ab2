#include "worker/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/landlock.h>

/* Rights that the headers may lack. */
static const int64_t RENAME_ACROSS_FOLDERS = 1 << 13; /* since version 2 */
static const int64_t TRUNCATE = 1 << 14;              /* since version 3 */

static const int64_t CHANGE =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

/* All rights to change files that this kernel knows, or a negative errno. */
static int64_t
find_rights(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	if (version < 0)
		return -errno;
	return CHANGE | (version >= 2 ? RENAME_ACROSS_FOLDERS : 0) |
	       (version >= 3 ? TRUNCATE : 0);
}

int
landlock_open(void)
{
	int64_t rights = find_rights();
	const struct landlock_ruleset_attr attributes = {
	    .handled_access_fs = (__u64)rights};
	int rules;

	if (rights < 0)
		return (int)rights;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attributes,
	    sizeof(attributes.handled_access_fs), 0);
	return rules < 0 ? -errno : rules;
}

int
landlock_allow(int rules, const char *folder)
{
	int64_t rights = find_rights();
	struct landlock_path_beneath_attr beneath = {
	    .allowed_access = (__u64)rights};
	int error = 0;

	if (rights < 0)
		return (int)rights;
	beneath.parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		&beneath, 0) < 0)
		error = -errno;
	close(beneath.parent_fd);
	return error;
}

int
landlock_enter(int rules)
{
	int error =
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0 ? -errno : 0;

	close(rules);
	return error;
}
