/* SPDX-License-Identifier: MIT */
/*
 * trial.c - a library at rest and at work.
 */
#define _GNU_SOURCE
#include "trial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "list.h"
#include "object.h"
#include "private.h"

enum {
	PATIENCE_MS = 20000, /* for one program; each takes milliseconds */
	NOBODY = 65534,
	ENOUGH = 3, /* failures: the others would say the same */
	OUTPUT = 2000, /* of a program that is looked at */
};

static bool say(const struct trial *t, bool good, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool say(const struct trial *t, bool good, const char *format, ...)
{
	va_list args;
	if (good && !t->loud)
		return true;
	va_start(args, format);
	printf("  %-4s  ", good ? "ok" : "FAIL");
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	va_end(args);
	return good;
}

/* At rest. */

/* Everything on the way to the file is root's, and nobody else may change it:
 * whoever may, is root on this machine from the next program start on. */
static bool trusted(const struct trial *t)
{
	char path[PATH_MAX];
	struct stat s;
	size_t base = strlen(t->root);
	if (snprintf(path, sizeof(path), "%s%s", t->root, t->path) >= (int)sizeof(path))
		return say(t, false, "%s: the name is too long", t->path);
	char real[PATH_MAX];
	if (!realpath(path, real))
		return say(t, false, "%s: %s", t->path, strerror(errno));
	if (strncmp(real, t->root, base))
		return say(t, false, "%s: leads out of %s", t->path, t->root);
	for (char *slash = real + base; slash; slash = strchr(slash + 1, '/')) {
		char rest = *slash;
		*slash = 0;
		bool bad = lstat(*real ? real : "/", &s) != 0;
		const char *name = real[base] ? real + base : "/";
		if (bad)
			return say(t, false, "%s: %s", name, strerror(errno));
		if (s.st_uid)
			return say(t, false, "%s: belongs to user %u, not to root", name, s.st_uid);
		if (s.st_mode & S_IWOTH || (s.st_mode & S_IWGRP && s.st_gid))
			return say(t, false, "%s: can be changed by others than root (mode %04o)",
				   name, s.st_mode & 07777);
		*slash = rest;
	}
	if (stat(real, &s) || !S_ISREG(s.st_mode))
		return say(t, false, "%s: not a file", t->path);
	if (s.st_uid)
		return say(t, false, "%s: belongs to user %u, not to root", t->path, s.st_uid);
	if (s.st_mode & (S_IWGRP | S_IWOTH))
		return say(t, false, "%s: can be changed by others than root (mode %04o)", t->path,
			   s.st_mode & 07777);
	if (!(s.st_mode & S_IROTH))
		return say(t, false, "%s: not readable by everybody (mode %04o)", t->path,
			   s.st_mode & 07777);
	return say(t, true, "%s is root's alone", t->path);
}

static bool libc_alone(const struct trial *t, const struct object *o)
{
	for (unsigned i = 0; i < o->nneeded; i++)
		if (strcmp(o->needed[i], "libc.so.6") && strncmp(o->needed[i], "ld-linux", 8))
			return say(t, false, "it needs %s: every program would, and none starts "
				   "where that is missing", o->needed[i]);
	return say(t, true, "it needs the C library alone");
}

bool trial_at_rest(const struct trial *t)
{
	char path[PATH_MAX], kind[64];
	struct object o;
	snprintf(path, sizeof(path), "%s%s", t->root, t->path);
	if (!object_open(&o, path))
		return say(t, false, "%s: %s", t->path, strerror(errno));
	bool ok = trusted(t);
	if (!o.bytes)
		ok = say(t, false, "%s: empty", t->path);
	else if (!o.elf)
		ok = say(t, false, "%s: not an ELF file", t->path);
	else if (!o.whole)
		ok = say(t, false, "%s: truncated or damaged", t->path);
	else if (!o.native) {
		object_kind(&o, kind, sizeof(kind));
		ok = say(t, false, "%s: %s, this machine is not", t->path, kind);
	} else if (!o.shared || !o.dynamic || !o.soname)
		ok = say(t, false, "%s: not a shared library", t->path);
	else if (!object_defines(&o, "malloc") || !object_defines(&o, "free"))
		ok = say(t, false, "%s: has no malloc", t->path);
	else
		ok &= libc_alone(t, &o);
	object_close(&o);
	return ok;
}

/* At work. */

struct row {
	const char *text; /* for people */
	const char *argv[6]; /* "": the probe, "+": the probe set-user-id */
	bool bare; /* with no environment at all */
	rlim_t address_space; /* bytes; 0: as it is */
};

static const struct row rows[] = {
	{ "the probe: its malloc, threads, fork", { "" }, false, 0 },
	{ "the probe, set-user-id", { "+" }, false, 0 },
	{ "the probe in 1 GiB of address space", { "" }, false, 1 << 30 },
	{ "the probe without environment", { "" }, true, 0 },
	{ "true", { "/bin/true" }, false, 0 },
	{ "true without environment", { "/bin/true" }, true, 0 },
	{ "sh, a pipe and a child",
	  { "/bin/sh", "-c", "test \"$(echo a | cat)\" = a && (exit 0)" }, false, 0 },
	{ "ls", { "/bin/ls", "-l", "/" }, false, 0 },
	{ "ls in 1 GiB of address space", { "/bin/ls", "-l", "/" }, false, 1 << 30 },
	{ "bash", { "/bin/bash", "-c", "a=(1 2 3); echo ${#a[@]} | grep -q 3" }, false, 0 },
	{ "perl", { "/usr/bin/perl", "-e", "$h{$_} = 'x' x $_ for 1 .. 2000;" }, false, 0 },
	{ "python3",
	  { "/usr/bin/python3", "-c",
	    "import threading as t; a = [t.Thread(target=lambda: [{} for i in range(9999)])"
	    " for i in range(3)]; [x.start() for x in a]; [x.join() for x in a]" },
	  false, 0 },
	{ "getent: name services", { "/usr/bin/getent", "passwd", "root" }, false, 0 },
	{ "systemd", { "/lib/systemd/systemd", "--version" }, false, 0 },
	{ "systemctl", { "/usr/bin/systemctl", "--version" }, false, 0 },
	{ "dpkg", { "/usr/bin/dpkg", "--version" }, false, 0 },
	{ "rpm", { "/usr/bin/rpm", "--version" }, false, 0 },
};

struct stage {
	const struct trial *t;
	int copy; /* of this program, set-user-id to somebody else; -1: none */
	bool environment; /* LD_PRELOAD, because mounts are not allowed here */
	bool noise; /* the loader complains of something else in the list */
};

static void become(const struct stage *g, const struct row *r, int out)
{
	char preload[PATH_MAX + 16], *env[4];
	char *none[] = { NULL };
	int n = 0, fd = *r->argv[0] == '+' ? g->copy : g->t->program;
	struct rlimit as = { r->address_space, r->address_space };
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0)
		close(0); /* a root without devices */
	dup2(out, 1);
	dup2(out, 2);
	if (r->address_space && setrlimit(RLIMIT_AS, &as))
		_exit(126);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", g->t->entry);
	if (!r->bare) {
		env[n++] = (char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
		env[n++] = (char *)(uintptr_t) "LC_ALL=C";
	}
	if (g->environment)
		env[n++] = preload;
	env[n] = NULL;
	sigset_t set;
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (!*r->argv[0] || *r->argv[0] == '+') {
		const char *const argv[] = { TRIAL_PROBE, g->t->path, NULL };
		syscall(SYS_execveat, fd, "", argv, n ? env : none, AT_EMPTY_PATH);
	} else {
		execve(r->argv[0], (char *const *)(uintptr_t)r->argv, n ? env : none);
	}
	_exit(errno == ENOENT ? 127 : 126);
}

static long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What a program says, until it and its children are done or patience is. */
static bool listen_to(int from, char *text, size_t room)
{
	long end = now_ms() + PATIENCE_MS, left;
	size_t n = 0;
	text[0] = 0;
	while ((left = end - now_ms()) > 0) {
		struct pollfd p = { .fd = from, .events = POLLIN };
		char rest[512];
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		ssize_t r = read(from, rest, sizeof(rest));
		if (r <= 0)
			return true;
		size_t take = n + (size_t)r < room ? (size_t)r : room - 1 - n;
		memcpy(text + n, rest, take);
		n += take;
		text[n] = 0;
	}
	return false;
}

/* Keeps one line of what was said: the loader's about this library, if there is
 * one, else the first that is not the loader's about another. */
static bool pick_line(struct stage *g, char *text)
{
	const char *name = strrchr(g->t->path, '/');
	char *keep = NULL;
	for (char *line = text, *next; *line; line = next) {
		next = line + strcspn(line, "\n");
		next += *next ? (*next = 0, 1) : 0;
		bool loader = strstr(line, "ld.so:") != NULL;
		if (loader && name && strstr(line, name + 1)) {
			memmove(text, line, strlen(line) + 1);
			return true;
		}
		if (loader && !g->noise) {
			g->noise = true;
			printf("  note  of something else in the list: %s\n", line);
		}
		if (!loader && !keep)
			keep = line;
	}
	memmove(text, keep ? keep : "", keep ? strlen(keep) + 1 : 1);
	return false;
}

static bool run(struct stage *g, const struct row *r)
{
	char text[OUTPUT];
	int pipes[2], status = 0;
	if (pipe2(pipes, O_CLOEXEC))
		return say(g->t, false, "%s: %s", r->text, strerror(errno));
	pid_t pid = fork();
	if (!pid) {
		setpgid(0, 0);
		become(g, r, pipes[1]);
	}
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return say(g->t, false, "%s: %s", r->text, strerror(errno));
	}
	setpgid(pid, pid);
	bool ended = listen_to(pipes[0], text, sizeof(text));
	close(pipes[0]);
	if (!ended)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	bool complains = pick_line(g, text);
	if (!ended)
		return say(g->t, false, "%s: does not end", r->text);
	if (WIFSIGNALED(status))
		return say(g->t, false, "%s: killed by %s %s", r->text,
			   strsignal(WTERMSIG(status)), text);
	if (status || complains)
		return say(g->t, false, "%s: exit code %d: %s", r->text, WEXITSTATUS(status), text);
	return say(g->t, true, "%s", r->text);
}

/* An /etc that differs from the real one in one file.  Not an overlay, which
 * not every kernel and container has: the names lead to the real one. */
static bool stage_etc(const struct trial *t, const char *anchor)
{
	char real[64], name[PATH_MAX], there[PATH_MAX], link[PATH_MAX];
	if (mount("none", anchor, "tmpfs", 0, "mode=0755"))
		return false;
	snprintf(real, sizeof(real), "%s/etc", anchor);
	if (mkdir(real, 0755) || mount("/etc", real, NULL, MS_BIND | MS_REC, NULL) ||
	    mount("none", "/etc", "tmpfs", 0, "mode=0755"))
		return false;
	DIR *d = opendir(real);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		snprintf(name, sizeof(name), "/etc/%s", e->d_name);
		if (!strcmp(name, LIST_FILE) || !strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(there, sizeof(there), "%s/%s", real, e->d_name);
		/* A link is copied, for it may be relative. */
		ssize_t n = readlink(there, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		if (symlink(n > 0 ? link : there, name)) {
			closedir(d);
			return false;
		}
	}
	if (d)
		closedir(d);
	int fd = open(LIST_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && !fchmod(fd, 0644) &&
		  write(fd, t->list, strlen(t->list)) == (ssize_t)strlen(t->list);
	if (fd >= 0)
		close(fd);
	return d && ok;
}

/* This program, set-user-id to nobody: run by root it is what su is to others. */
static int stage_copy(const struct trial *t, const char *anchor)
{
	char path[64], part[4096];
	snprintf(path, sizeof(path), "%s/probe", anchor);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	ssize_t n;
	bool ok = to >= 0 && lseek(t->program, 0, SEEK_SET) == 0;
	while (ok && (n = read(t->program, part, sizeof(part))) != 0)
		ok = n > 0 && write(to, part, (size_t)n) == n;
	ok = ok && !fchown(to, NOBODY, NOBODY) && !fchmod(to, 04755);
	if (to >= 0)
		close(to);
	return ok ? open(path, O_PATH) : -1;
}

static bool run_all(struct stage *g)
{
	int bad = 0;
	for (size_t i = 0; bad < ENOUGH && i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];
		if (*r->argv[0] == '+' && g->copy < 0)
			say(g->t, true, "%s: cannot be tried here", r->text);
		else if (*r->argv[0] != '/' || !access(r->argv[0], X_OK))
			bad += !run(g, r);
	}
	return !bad;
}

/* What programs expect of a running system, for one that is only mounted. */
static void lend(const char *root)
{
	static const char *const dirs[] = { "/dev", "/proc" };
	char to[PATH_MAX];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		if (snprintf(to, sizeof(to), "%s%s", root, dirs[i]) < (int)sizeof(to) &&
		    mount(dirs[i], to, NULL, MS_BIND | MS_REC, NULL))
			errno = 0; /* then without */
}

/* The child's part: everything it mounts is gone with it. */
static int on_stage(const struct trial *t)
{
	static const char *const anchors[] = { "/mnt", "/media", "/srv", "/opt", "/tmp" };
	struct stage g = { .t = t, .copy = -1 };
	struct stat s;
	bool user;
	size_t i = 0;
	bool own = private_mounts(&user);
	if (own && *t->root)
		lend(t->root);
	if (*t->root && (chdir(t->root) || chroot(".") || chdir("/"))) {
		say(t, false, "%s: %s", t->root, strerror(errno));
		return 1;
	}
	while (i < sizeof(anchors) / sizeof(*anchors) &&
	       (lstat(anchors[i], &s) || !S_ISDIR(s.st_mode)))
		i++;
	if (own && i < sizeof(anchors) / sizeof(*anchors) && stage_etc(t, anchors[i])) {
		g.copy = stage_copy(t, anchors[i]);
	} else {
		say(t, true, "no private mounts here (%s): tried with LD_PRELOAD, which says "
		    "nothing about set-user-id programs", strerror(errno));
		g.environment = true;
	}
	return !run_all(&g);
}

bool trial_at_work(const struct trial *t)
{
	int status = -1;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid) {
		status = on_stage(t);
		fflush(stdout);
		_exit(status);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status))
		return say(t, false, "the trial itself did not end");
	return !status;
}

bool trial_now(void)
{
	static const struct row row = { "true", { "/bin/true" }, false, 0 };
	struct trial t = { .root = "", .path = "", .entry = "", .program = -1 };
	struct stage g = { .t = &t, .copy = -1, .noise = true };
	fflush(NULL);
	return access(row.argv[0], X_OK) || run(&g, &row);
}
