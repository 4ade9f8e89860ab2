/*
 * Where a controller of cgroup v1 or v2 is. It may be on v1 or on v2
 * independently of the others, and a container may or may not have a cgroup
 * namespace, so the folder is looked up from /proc/self/mountinfo and
 * /proc/self/cgroup (cgroups(7), proc(5); Documentation/admin-guide/cgroup-v1
 * and cgroup-v2.rst).
 */
#include "metrics/collectors/hierarchy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",\n");

		if (n == length && strncmp(p, word, n) == 0)
			return true;
		p += n + (p[n] != '\0');
	}
	return false;
}

/*
 * Find where a controller is mounted: on v1 by its name, else v2; version 0
 * where it is not. mount_root is the part of the hierarchy that the mount
 * shows. Returns 0 or a negative errno.
 */
static int
find_mount(const char *root, const char *controller,
    struct hierarchy *hierarchy, char *mount_root, size_t size)
{
	char path[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	size_t mounts = 0;
	int error;
	FILE *file;

	hierarchy->version = 0;
	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (hierarchy->version != 1 && getline(&line, &room, file) > 0) {
		char type[32];
		char options[1024];
		char shown[1024];
		char point[1024];
		char *tail = strstr(line, " - ");
		int version;

		if (!tail ||
		    sscanf(line, "%*s %*s %*s %1023s %1023s", shown, point) !=
			2 ||
		    sscanf(tail, " - %31s %*s %1023s", type, options) != 2)
			continue;
		mounts++;
		if (strcmp(type, "cgroup2") == 0)
			version = 2;
		else if (strcmp(type, "cgroup") == 0 &&
			 has_word(options, controller))
			version = 1;
		else
			continue;
		hierarchy->version = version;
		snprintf(hierarchy->mount, sizeof(hierarchy->mount), "%s%s",
		    root, point);
		snprintf(mount_root, size, "%s", shown);
	}
	error = hierarchy->version == 1 || feof(file) ? 0 : -EIO;
	free(line);
	fclose(file);
	/* /proc is a mount itself: there is one at least. */
	return error || mounts > 0 ? error : -EBADMSG;
}

/*
 * This process's path in the hierarchy, as /proc/self/cgroup has it. Returns 0
 * or a negative errno.
 */
static int
find_path(const char *root, const char *controller, int version, char *path,
    size_t size)
{
	char name[PATH_MAX];
	char *line = NULL;
	size_t room = 0;
	int error = -EBADMSG;
	FILE *file;

	snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
	file = fopen(name, "re");
	if (!file)
		return -errno;
	while (getline(&line, &room, file) > 0) {
		char *controllers = strchr(line, ':');
		char *found = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!found)
			continue;
		*found++ = '\0';
		found[strcspn(found, "\n")] = '\0';
		if (version == 2 ? strncmp(line, "0:", 2) == 0
				 : has_word(controllers + 1, controller)) {
			snprintf(path, size, "%s", found);
			error = 0;
		}
	}
	if (!feof(file))
		error = -EIO;
	free(line);
	fclose(file);
	return error;
}

int
hierarchy_find(const char *root, const char *controller, struct hierarchy *h)
{
	char mount_root[1024];
	char path[1024];
	char folder[PATH_MAX];
	size_t length;
	int error =
	    find_mount(root, controller, h, mount_root, sizeof(mount_root));

	if (error || h->version == 0)
		return error;
	error = find_path(root, controller, h->version, path, sizeof(path));
	if (error)
		return error;
	length = strlen(mount_root);
	if (length > 1 && strncmp(path, mount_root, length) == 0)
		memmove(path, path + length, strlen(path + length) + 1);
	if (strcmp(path, "/") == 0)
		*path = '\0';
	snprintf(h->path, sizeof(h->path), "%s", path);
	/* Without a cgroup namespace the path may be one we cannot see. */
	snprintf(folder, sizeof(folder), "%s%s", h->mount, h->path);
	if (strncmp(path, "/..", 3) == 0)
		*h->path = '\0';
	else if (access(folder, F_OK) != 0) {
		if (errno != ENOENT)
			return -errno;
		*h->path = '\0';
	}
	return 0;
}

int
hierarchy_read_text(
    const struct hierarchy *h, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	FILE *in;
	size_t length;
	int error = 0;

	snprintf(path, sizeof(path), "%s%s/%s", h->mount, h->path, file);
	text[0] = '\0';
	in = fopen(path, "re");
	if (!in)
		return -errno;
	length = fread(text, 1, size - 1, in);
	if (ferror(in))
		error = errno == ENOENT ? -EIO : -errno;
	else if (length == 0)
		error = -EBADMSG;
	text[length] = '\0';
	fclose(in);
	return error;
}

int
hierarchy_parse_number(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -EBADMSG;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || (*end != '\0' && *end != '\n') ? -EBADMSG : 0;
}

int
hierarchy_read_number(
    const struct hierarchy *h, const char *file, uint64_t *value)
{
	char text[64];
	int error = hierarchy_read_text(h, file, text, sizeof(text));

	return error ? error : hierarchy_parse_number(text, value);
}

/* Returns 0, -ENODATA where there is no such line, or -EBADMSG. */
static int
find_field(const char *text, const char *name, uint64_t *value)
{
	size_t length = strlen(name);

	for (const char *line = text; line && *line;) {
		if (strncmp(line, name, length) == 0 && line[length] == ' ')
			return hierarchy_parse_number(line + length + 1, value);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return -ENODATA;
}

int
hierarchy_read_fields(const struct hierarchy *h, const char *file,
    const struct hierarchy_field *fields, size_t count)
{
	char text[8192];
	int error = hierarchy_read_text(h, file, text, sizeof(text));

	for (size_t i = 0; i < count && !error; i++) {
		error = find_field(text, fields[i].name, fields[i].value);
		if (error == -ENODATA && fields[i].is_optional)
			error = 0;
	}
	return error;
}

bool
hierarchy_go_up(struct hierarchy *h)
{
	char *slash = strrchr(h->path, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return true;
}
