/*
 * What libfcgi users run: usual-pool SOCKET COUNT. Processes forked in advance
 * that block in FCGX_Accept_r(), a connection a request, and count nothing.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For /block/SECONDS, hold the process for that time. */
static void
block(const char *path)
{
	struct timespec time;
	double seconds;

	if (!path || strncmp(path, "/block/", 7) != 0)
		return;
	seconds = atof(path + 7);
	time.tv_sec = (time_t)seconds;
	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	nanosleep(&time, NULL);
}

static void
serve(int listener)
{
	FCGX_Request request;

	FCGX_InitRequest(&request, listener, 0);
	while (FCGX_Accept_r(&request) == 0) {
		block(FCGX_GetParam("PATH_INFO", request.envp));
		FCGX_PutS("Status: 200 OK\r\n"
			  "Content-Type: application/json\r\n"
			  "Content-Length: 22\r\n\r\n"
			  "{\"msg\": \"Hello World\"}",
		    request.out);
		FCGX_Finish_r(&request);
	}
}

int
main(int argc, char *argv[])
{
	int listener;

	if (argc != 3 || FCGX_Init() != 0)
		return 2;
	listener = FCGX_OpenSocket(argv[1], 4096);
	if (listener < 0)
		return 1;
	/* Like the master of a pool, not like a worker: ends at once. */
	signal(SIGTERM, SIG_DFL);
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(listener);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	return 1;
}
