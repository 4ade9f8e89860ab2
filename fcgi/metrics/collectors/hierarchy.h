#ifndef COLLECTORS_HIERARCHY_H
#define COLLECTORS_HIERARCHY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A cgroup hierarchy: its mount point, and a folder in it. */
struct hierarchy {
	int version;              /* 1 or 2; 0: there is none */
	char mount[PATH_MAX / 2]; /* with root in front */
	char path[PATH_MAX / 2];  /* below mount, "" for the mount itself */
};

/*
 * Find the hierarchy of a controller, such as "cpu", and this process's folder
 * in it. root is put in front of every path, "" for the real ones. Returns 0,
 * with version 0 where the controller is not mounted; or a negative errno where
 * /proc/self cannot be read or understood.
 */
int hierarchy_find(
    const char *root, const char *controller, struct hierarchy *h);

/* Go up to the next folder; false at the mount. */
bool hierarchy_go_up(struct hierarchy *h);

/*
 * Read a file of the folder, up to the buffer's size. Returns 0 or a negative
 * errno: -ENOENT where there is no such file, -EBADMSG where it is empty.
 */
int hierarchy_read_text(
    const struct hierarchy *h, const char *file, char *text, size_t size);

/* Read a file that is one number. Returns as above; -EBADMSG: it is not. */
int hierarchy_read_number(
    const struct hierarchy *h, const char *file, uint64_t *value);

/* A number that ends its line. Returns 0 or -EBADMSG. */
int hierarchy_parse_number(const char *text, uint64_t *value);

/* One of a file's "name number" lines. */
struct hierarchy_field {
	const char *name;
	uint64_t *value;
	bool is_optional; /* not there: the value stays as it is */
};

/*
 * Read fields of a file. Returns as above; -ENODATA where one is missing that
 * is not optional.
 */
int hierarchy_read_fields(const struct hierarchy *h, const char *file,
    const struct hierarchy_field *fields, size_t count);

#endif
