#include "master/upgrade.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { EXIT_NOT_EXECUTED = 127 }; /* as of a shell */

/* How long the new program may take to print its help. */
static const int64_t TRIAL_NS = 5000000000;

void
upgrade_init(struct upgrade *upgrade, char *const argv[])
{
	/* As execve(2) got it: symbolic links lead to the next version. */
	unsigned long path = getauxval(AT_EXECFN);

	*upgrade = (struct upgrade){.argv = argv, .path = (const char *)path};
}

bool
upgrade_is_due(const struct upgrade *upgrade)
{
	struct stat running;
	struct stat found;

	/* This link leads to the file that runs, even after it was deleted. */
	if (!upgrade->path || stat("/proc/self/exe", &running) < 0)
		return false;
	return stat(upgrade->path, &found) < 0 ||
	       found.st_dev != running.st_dev ||
	       found.st_ino != running.st_ino ||
	       found.st_size != running.st_size ||
	       found.st_mtim.tv_sec != running.st_mtim.tv_sec ||
	       found.st_mtim.tv_nsec != running.st_mtim.tv_nsec;
}

/* --- the trial ------------------------------------------------------------ */

/* A copy of argv with --help behind it; NULL without memory. */
static char **
ask_for_help(char *const argv[])
{
	static char help[] = "--help";
	size_t count = 0;
	char **copy;

	while (argv[count])
		count++;
	copy = calloc(count + 2, sizeof(*copy));
	if (!copy)
		return NULL;
	memcpy(copy, argv, count * sizeof(*copy));
	copy[count] = help;
	return copy;
}

static _Noreturn void
run_trial(const char *path, char *const argv[])
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (null >= 0)
		dup2(null, STDOUT_FILENO);
	execv(path, argv);
	_exit(EXIT_NOT_EXECUTED);
}

/* End the trial, and forget how it ended. */
static void
end_trial(struct upgrade *upgrade)
{
	assert(upgrade->state == UPGRADE_TRIAL);
	kill(upgrade->trial, SIGKILL);
	waitpid(upgrade->trial, NULL, 0);
	upgrade->trial = 0;
	upgrade->state = UPGRADE_IDLE;
}

void
upgrade_try(struct upgrade *upgrade)
{
	char **argv = ask_for_help(upgrade->argv);
	pid_t pid;

	assert(upgrade->state != UPGRADE_YIELDING);
	if (upgrade->state == UPGRADE_TRIAL)
		end_trial(upgrade);
	pid = argv ? fork() : -1;
	if (pid == 0)
		run_trial(upgrade->path, argv);
	free(argv);
	if (pid < 0) {
		log_text(LOG_ERROR, "cannot try the new program: %s",
		    strerror(errno));
		return;
	}
	upgrade->trial = pid;
	upgrade->trial_until = clock_now() + TRIAL_NS;
	upgrade->state = UPGRADE_TRIAL;
}

bool
upgrade_tried(struct upgrade *upgrade, int status)
{
	assert(upgrade->state == UPGRADE_TRIAL);
	if (WIFSTOPPED(status) || WIFCONTINUED(status))
		return false;
	upgrade->trial = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		upgrade->state = UPGRADE_YIELDING;
		LOG(LOG_INFO,
		    "the program has changed: draining the workers of the old "
		    "one",
		    LOG_STRING("program", upgrade->path));
		return true;
	}
	upgrade->state = UPGRADE_IDLE;
	LOG(LOG_ERROR,
	    "the new program does not run, so the old one goes on: run it with "
	    "the same arguments and --help to see why",
	    LOG_STRING("program", upgrade->path),
	    LOG_NUMBER("status", WIFEXITED(status) ? WEXITSTATUS(status) : 0),
	    LOG_STRING("signal",
		WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : ""));
	return false;
}

void
upgrade_tick(const struct upgrade *upgrade, int64_t now)
{
	if (upgrade->state == UPGRADE_TRIAL && now > upgrade->trial_until)
		kill(upgrade->trial, SIGKILL);
}

void
upgrade_cancel(struct upgrade *upgrade)
{
	if (upgrade->state == UPGRADE_TRIAL)
		end_trial(upgrade);
	upgrade->state = UPGRADE_IDLE;
}

/* --- the change ----------------------------------------------------------- */

void
upgrade_exec(struct upgrade *upgrade, const struct sockets *sockets)
{
	static const struct log_advice advices[] = {
	    {-ENOENT, "it is gone; the old program goes on"},
	    {-ETXTBSY, "it is being written; the old program goes on: send HUP "
		       "when it is complete"},
	    {-ENOEXEC, "it is no complete program; the old one goes on"},
	    {-EACCES, "it is not executable; the old program goes on"},
	    {0, NULL},
	};
	int error = sockets_pass(sockets);

	assert(upgrade->state == UPGRADE_YIELDING);
	if (!error) {
		execv(upgrade->path, upgrade->argv);
		error = -errno;
	}
	sockets_unpass(sockets);
	upgrade->state = UPGRADE_IDLE;
	log_failure(error, "execute", upgrade->path, advices);
}
