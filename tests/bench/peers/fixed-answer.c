/*
 * The floor for a pool behind nginx: fixed-answer SOCKET COUNT. COUNT processes
 * wait with epoll, look in a request only for its end, and answer with the same
 * bytes. They parse, route, count and log nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* FastCGI 1.0, section 8: version, type, request 1, length, padding. */
#define RECORD(type, length) 1, type, 0, 1, 0, length, 0, 0
enum { END_REQUEST = 3, STDIN = 5, STDOUT = 6 };

#define HEAD                                                                   \
	"Status: 200 OK\r\nContent-Type: application/json\r\n"                 \
	"Content-Length: 22\r\n\r\n{\"msg\": \"Hello World\"}"

static const unsigned char end_of_request[] = {RECORD(STDIN, 0)};
static const unsigned char end_of_answer[] = {
    RECORD(STDOUT, 0), RECORD(END_REQUEST, 8), 0, 0, 0, 0, 0, 0, 0, 0};
static unsigned char answer[256] = {RECORD(STDOUT, sizeof(HEAD) - 1)};
static size_t answer_length;

static void
answer_one(int fd)
{
	static unsigned char request[65536];
	const ssize_t length = recv(fd, request, sizeof(request), 0);
	const size_t tail = sizeof(end_of_request);

	if (length <= 0)
		close(fd);
	else if ((size_t)length >= tail &&
		 memcmp(request + length - tail, end_of_request, tail) == 0 &&
		 send(fd, answer, answer_length, MSG_NOSIGNAL) < 0)
		close(fd);
}

static void
serve(int listener)
{
	struct epoll_event events[64];
	struct epoll_event event = {
	    .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener};
	const int epoll = epoll_create1(0);

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		const int count = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd != listener) {
				answer_one(events[i].data.fd);
				continue;
			}
			event.events = EPOLLIN;
			event.data.fd = accept(listener, NULL, NULL);
			if (event.data.fd >= 0)
				epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd,
				    &event);
		}
	}
}

int
main(int argc, char *argv[])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 4096) != 0 ||
	    fcntl(listener, F_SETFL, O_NONBLOCK) != 0)
		return 1;
	answer_length = sizeof(end_of_request);
	memcpy(answer + answer_length, HEAD, sizeof(HEAD) - 1);
	answer_length += sizeof(HEAD) - 1;
	memcpy(answer + answer_length, end_of_answer, sizeof(end_of_answer));
	answer_length += sizeof(end_of_answer);
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(listener);
		}
	while (wait(NULL) > 0)
		;
	return 0;
}
