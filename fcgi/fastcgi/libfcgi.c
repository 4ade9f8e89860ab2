#include "fastcgi/libfcgi.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* The complete request that libfcgi is reading. */
static struct {
	const unsigned char *next;
	size_t left;
} unread;

void
libfcgi_set_input(const unsigned char *bytes, size_t size)
{
	unread.next = bytes;
	unread.left = size;
}

/*
 * libfcgi's read function (the Makefile's WRAPPED). It returns the bytes of the
 * complete request, and then the end of the stream. It never blocks and saves a
 * system call.
 */
int
__wrap_OS_Read(int fd, char *buffer, size_t size)
{
	(void)fd;
	if (size > unread.left)
		size = unread.left;
	memcpy(buffer, unread.next, size);
	unread.next += size;
	unread.left -= size;
	return (int)size;
}

/*
 * libfcgi's write function. An interrupted write is repeated, but not beyond
 * the timeout: each repetition would start the socket's timeout again. After an
 * error the socket is shut down, because libfcgi would write a second time.
 */
int
__wrap_OS_Write(int fd, const char *buffer, size_t size)
{
	int64_t deadline = 0;
	ssize_t written;

	while ((written = write(fd, buffer, size)) < 0 && errno == EINTR) {
		int64_t now = clock_now();

		if (deadline == 0)
			deadline = now + LIBFCGI_SEND_TIMEOUT_SECONDS *
					     CLOCK_NS_PER_SECOND;
		if (now > deadline)
			break;
	}
	if (written < 0)
		shutdown(fd, SHUT_RDWR);
	return (int)written;
}

/*
 * libfcgi's close function. It does nothing: the connection's owner closes it,
 * and libfcgi's own function would wait up to 2 s for the web server.
 */
int
__wrap_OS_IpcClose(int fd, int shutdown)
{
	(void)fd;
	(void)shutdown;
	return 0;
}
