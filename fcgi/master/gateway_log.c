#include "master/gateway_log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/registry.h"
#include "http/router.h"

enum {
	/* Longer than any line. The method and the path have up to 16 KiB each
	 * (large_client_header_buffers), and nginx escapes a byte as \xHH. */
	READ_SIZE = 256 << 10,
	PATH_SIZE = 16 << 10,  /* nginx accepts no longer one */
	TRUNCATE_AT = 4 << 20, /* file size without support for holes */
};

/*
 * A number for this file, or 0. The inode alone is not enough: after a file is
 * removed, and in another tmpfs, its number is used again.
 */
static uint64_t
identify(int fd)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &status) < 0)
		return 0;
	if (!(status.stx_mask & STATX_BTIME))
		return status.stx_ino;
	return status.stx_ino + status.stx_btime.tv_nsec +
	       (uint64_t)(status.stx_btime.tv_sec * CLOCK_NS_PER_SECOND);
}

int
gateway_log_open(struct gateway_log *log, const char *metrics_socket,
    struct counters *counters)
{
	static const struct log_advice advices[] = {
	    {-EACCES, "permission denied: let this user read and write it and "
		      "its directory, or choose another --metrics-socket"},
	    {0, NULL},
	};
	char path[PATH_MAX];
	mode_t mask = umask(0117); /* nginx may be another user of our group */

	*log = (struct gateway_log){.fd = -1, .counters = counters};
	snprintf(path, sizeof(path), "%s.log", metrics_socket);
	log->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660);
	umask(mask);
	if (log->fd < 0)
		return log_failure(-errno, "open nginx's log", path, advices);
	log->identity = identify(log->fd);
	return 0;
}

/* The path in a request target, behind a scheme and a host if it has them. */
static const char *
skip_authority(const char *target)
{
	const char *authority = strstr(target, "://");
	const char *path;

	if (*target == '/' || !authority)
		return target;
	path = strpbrk(authority + 3, "/ ");
	return path && *path == '/' ? path : "/";
}

/*
 * Decode the escapes of nginx's log (\xHH) and of the URL (%HH) up to the query
 * or the end of the target.
 */
static void
decode_path(const char *target, char *path, size_t size)
{
	size_t used = 0;

	while (*target && !strchr("? ", *target) && used + 1 < size) {
		size_t mark = *target == '%' ? 1 : 0;

		if (strncmp(target, "\\x", 2) == 0)
			mark = 2;
		if (mark > 0 && isxdigit((unsigned char)target[mark]) &&
		    isxdigit((unsigned char)target[mark + 1])) {
			char digits[] = {target[mark], target[mark + 1], '\0'};

			path[used++] = (char)strtoul(digits, NULL, 16);
			target += mark + 2;
		} else {
			path[used++] = *target++;
		}
	}
	path[used] = '\0';
}

/* No route is below /static/, which is the location of nginx's own files. */
static int
find_endpoint(enum method method, const char *path)
{
	if (strncmp(path, "/static/", strlen("/static/")) == 0)
		return ENDPOINT_STATIC;
	return router_find(method, path);
}

/* Copy the last word of the line, if it is as long as a trace id. */
static void
copy_trace_id(const char *line, char trace_id[EXEMPLARS_ID_SIZE])
{
	const char *space = strrchr(line, ' ');

	if (space && strlen(space + 1) == EXEMPLARS_ID_SIZE - 1)
		memcpy(trace_id, space + 1, EXEMPLARS_ID_SIZE);
}

bool
gateway_log_parse(const char *line, struct request_sample *request)
{
	char name[32] = "";
	char path[PATH_SIZE];
	enum method method;
	unsigned status, seconds, milliseconds;
	uint64_t bytes;
	int rest = 0;
	int target = 0;

	if (*line < '0' || *line > '9' ||
	    sscanf(line, "%3u %9u.%3u %19" SCNu64 "%n", &status, &seconds,
		&milliseconds, &bytes, &rest) != 4)
		return false;
	if (status > 0 && status < 100)
		return false;
	line += rest;
	sscanf(line, " %31[^ ] %n", name, &target);
	/* As in the access log (nginx/nginx.conf.template). */
	if (status == 0)
		status = strcmp(name, "-") == 0 ? 400 : 503;
	decode_path(skip_authority(line + target), path, sizeof(path));
	method = request_method_parse(name);
	*request = (struct request_sample){
	    .endpoint = find_endpoint(method, target ? path : ""),
	    .method = method,
	    .status = (int)status,
	    .duration_ns =
		seconds * CLOCK_NS_PER_SECOND + milliseconds * CLOCK_NS_PER_MS,
	    .queue_ns = -1,
	    .body_bytes = bytes,
	};
	copy_trace_id(line, request->trace_id);
	return true;
}

/*
 * Advance the position in the file. It is stored as a counter, to which only
 * this process adds.
 */
static void
move_position(const struct gateway_log *log, off_t from, off_t to)
{
	counters_add(counters_values(log->counters, SLOT_METRICS),
	    REGISTRY_GATEWAY_LOG, (uint64_t)to - (uint64_t)from);
}

/*
 * Find the position of the next line: behind the lines that were counted, also
 * those that were counted into another counter file and are a hole now. The
 * stored position is for one file, which is stored, too. In another or shorter
 * file, the next line is the first.
 */
static off_t
find_position(const struct gateway_log *log)
{
	off_t before = (off_t)counters_sum(log->counters, REGISTRY_GATEWAY_LOG);
	off_t position = before;
	uint64_t file = counters_sum(log->counters, REGISTRY_GATEWAY_LOG_FILE);
	bool is_other = log->identity != 0 && log->identity != file;
	struct stat status;

	if (is_other && file != 0)
		position = 0;
	if (fstat(log->fd, &status) == 0 && status.st_size < before)
		position = 0;
	if (position == 0) {
		off_t data = lseek(log->fd, 0, SEEK_DATA);

		position = data > 0 ? data : 0;
	}
	if (position != before)
		move_position(log, before, position);
	/* Last, because this process may be killed in between. */
	if (is_other)
		counters_add(counters_values(log->counters, SLOT_METRICS),
		    REGISTRY_GATEWAY_LOG_FILE, log->identity - file);
	return position;
}

/*
 * Count the complete lines at the start of these bytes. Skip zeros: a hole of
 * lines that were counted into another counter file. Returns the number of
 * bytes processed.
 */
static size_t
count_lines(
    const struct gateway_log *log, off_t position, char *bytes, size_t size)
{
	int64_t now = clock_wall();
	size_t at = 0;

	while (at < size) {
		struct request_sample request;
		char *end = memchr(bytes + at, '\n', size - at);
		size_t length = 0;

		while (at + length < size && bytes[at + length] == '\0')
			length++;
		if (length == 0 && end) {
			*end = '\0';
			length = (size_t)(end + 1 - (bytes + at));
			if (gateway_log_parse(bytes + at, &request)) {
				request.ended_ns = now;
				request_metrics_add(
				    log->counters, SLOT_METRICS, &request);
			}
		} else if (length == 0 && size == READ_SIZE && at == 0) {
			length = size; /* not written by nginx */
		} else if (length == 0) {
			break;
		}
		move_position(log, position, position + (off_t)length);
		position += (off_t)length;
		at += length;
	}
	return at;
}

/* Free the disk space of the counted lines. */
static void
free_space(const struct gateway_log *log, off_t position)
{
	struct stat status;

	if (fallocate(log->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		position) == 0)
		return;
	if (errno == EOPNOTSUPP && fstat(log->fd, &status) == 0 &&
	    status.st_size == position && position > TRUNCATE_AT &&
	    ftruncate(log->fd, 0) < 0)
		log_text(LOG_ERROR, "cannot truncate nginx's log: %s",
		    strerror(errno));
}

void
gateway_log_count(const struct gateway_log *log)
{
	static char bytes[READ_SIZE];
	off_t position = find_position(log);
	off_t begin = position;
	ssize_t size;

	while ((size = pread(log->fd, bytes, sizeof(bytes), position)) > 0) {
		size_t done = count_lines(log, position, bytes, (size_t)size);

		position += (off_t)done;
		if (done == 0)
			break;
	}
	if (position > begin)
		free_space(log, position);
}
