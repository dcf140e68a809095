/* SPDX-License-Identifier: MIT */
/*
 * try.c - on, and off again unless somebody says that all is well.
 *
 *      terminal  --Enter-->  front  ==pipe==  guardian  -->  the list
 *
 * Both are this program, loaded before the list was changed: taking libhz out
 * is a rename and needs no program to start.  The guardian has its own session,
 * locked memory and the least claim on the OOM killer's attention; it reverts
 * when the time is over and when the front goes, however that went.  The front
 * reverts when the guardian goes.  What neither survives, a power cut, is ended
 * by the boot where the list is a link into /run.
 *
 * Whoever keeps it (Enter here, hz-preload enable elsewhere) replaces the entry
 * of a trial by a lasting one; a revert touches only that of a trial.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload.h"

enum {
	KEPT, REVERTED, /* exit codes */
	LOOK_MS = 200, /* how often the list is looked at for what others did to it */
};

/* Sleep counts: a laptop closed for an hour has had its ten minutes. */
static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool on_trial(const struct plan *p)
{
	struct list l;
	/* What cannot be read is taken to be there. */
	bool on = !list_read(&l, p->root) || list_on_trial(&l);
	list_free(&l);
	return on;
}

static int revert(const struct plan *p, const char *why)
{
	switch (list_off(p->root, true)) {
	case LIST_OFF:
		complain("%s: libhz is off again", why);
		return REVERTED;
	case LIST_OFF_ALREADY:
		return KEPT;
	default:
		complain("%s, and libhz cannot be taken out: %s", why, list_why);
		return REVERTED;
	}
}

static void be_last(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "-1000", 5) < 0)
			errno = 0; /* it was worth trying */
		close(fd);
	}
	mlockall(MCL_CURRENT | MCL_FUTURE);
}

/* Until the list has a trial no more, the time is over, or the front is gone.
 * It starts before the list is written, so there is no moment without it; the
 * front says when it is, and the time starts. */
static int guard(const struct plan *p, int front, long seconds)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGPIPE, SIGTSTP };
	bool written = false;
	long end = 0;
	setsid();
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_IGN);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, 0);
	dup2(null, 1);
	be_last();
	for (;;) {
		struct pollfd f = { .fd = front, .events = POLLIN };
		long left = written ? end - now_ms() : LOOK_MS;
		char c;
		if (written && !on_trial(p))
			return KEPT;
		if (left <= 0)
			return revert(p, "the time is over");
		if (poll(&f, 1, (int)(left < LOOK_MS ? left : LOOK_MS)) <= 0)
			continue;
		if (read(front, &c, 1) != 1)
			return revert(p, "the trial was left");
		written = true;
		end = now_ms() + seconds * 1000;
	}
}

/* Whether a line came; at the end of input nothing more will. */
static bool enter(int *input)
{
	char c;
	ssize_t r = read(*input, &c, 1);
	if (r == 0 || (r < 0 && errno != EINTR && errno != EAGAIN))
		*input = -1;
	return r == 1 && c == '\n';
}

static int finish(const struct plan *p)
{
	struct list l;
	size_t at = 0, n;
	const char *w = NULL;
	if (list_read(&l, p->root))
		while ((w = list_word(&l, &at, &n)) && !place_ours(w, n))
			;
	list_free(&l);
	puts(w ? "libhz stays on; undo: hz-preload disable" : "libhz is off");
	return w ? KEPT : REVERTED;
}

static int wait_in_front(const struct plan *p, pid_t guardian, const sigset_t *set)
{
	int input = 0, events = signalfd(-1, set, SFD_CLOEXEC);
	for (;;) {
		struct pollfd f[] = { { .fd = input, .events = POLLIN },
				      { .fd = events, .events = POLLIN } };
		struct signalfd_siginfo s;
		int status;
		poll(f, 2, -1);
		if (f[1].revents && read(events, &s, sizeof(s)) == sizeof(s)) {
			if (s.ssi_signo != SIGCHLD)
				return revert(p, strsignal((int)s.ssi_signo)) == KEPT ? finish(p)
										   : REVERTED;
			if (waitpid(guardian, &status, WNOHANG) == guardian) {
				if (on_trial(p))
					revert(p, "the guardian was killed");
				return finish(p);
			}
		}
		if (f[0].revents && enter(&input)) {
			if (switch_on(p, LASTING))
				return finish(p);
			revert(p, "it cannot be kept");
			return REVERTED;
		}
	}
}

int try_for(const struct plan *p, long seconds)
{
	int pipes[2];
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(pipes, O_CLOEXEC)) {
		complain("%s", strerror(errno));
		return REVERTED;
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	fflush(NULL);
	pid_t guardian = fork();
	if (!guardian) {
		close(pipes[1]);
		_exit(guard(p, pipes[0], seconds));
	}
	close(pipes[0]);
	if (guardian < 0) {
		complain("no second process: %s", strerror(errno));
		return REVERTED;
	}
	if (!switch_on(p, TRIAL))
		return REVERTED;
	if (write(pipes[1], "", 1) != 1) {
		revert(p, "the guardian is gone");
		return REVERTED;
	}
	printf("libhz, lane %s, is on for %ld seconds, for every program started from now on.\n"
	       "Log in anew, start what matters. Enter keeps it; anything else ends it.\n",
	       p->lane, seconds);
	fflush(stdout);
	switch_warn(p);
	return wait_in_front(p, guardian, &set);
}
