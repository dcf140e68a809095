/* SPDX-License-Identifier: MIT */
/*
 * list.c - editing a file on which every program start depends.
 *
 * How words are told apart is the loader's rule (rtld.c): blanks, tabs, colons
 * and newlines separate, and # begins a comment anywhere, even within a word;
 * what it makes of a second comment (list.h) is not imitated.
 */
#define _GNU_SOURCE
#include "list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "place.h"

#define TEMPORARY ".ld.so.preload.hz."

enum {
	LIST_BYTES = 1 << 20, /* a longer one is not a list of libraries */
	LOCK_WAIT_MS = 10000, /* an edit holds the lock for milliseconds, a check for seconds */
	LOCK_PAUSE_MS = 20,
};

char list_why[PATH_MAX + 256];

static bool failed(const char *path)
{
	snprintf(list_why, sizeof(list_why), "%s: %s%s", path, strerror(errno),
		 errno == EROFS	  ? " (mount -o remount,rw)"
		 : errno == EPERM ? " (is it immutable? lsattr tells)"
				  : "");
	return false;
}

static void in_root(char to[PATH_MAX], const char *root, const char *path)
{
	if (snprintf(to, PATH_MAX, "%s%s", root, path) >= PATH_MAX)
		*to = 0; /* no file has this name: opening it fails */
}

int list_lock(const char *root)
{
	char path[PATH_MAX];
	in_root(path, root, LIST_RUN);
	if (mkdir(path, 0755) && errno != EEXIST) {
		failed(path);
		return -1;
	}
	in_root(path, root, LIST_RUN "/lock");
	/* 0600: nobody else may take it and keep us out. */
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		failed(path);
		return -1;
	}
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB); ms += LOCK_PAUSE_MS) {
		const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
		if ((errno != EWOULDBLOCK && errno != EINTR) || ms >= LOCK_WAIT_MS) {
			snprintf(list_why, sizeof(list_why),
				 "%s: held by another hz-preload for too long", path);
			close(fd);
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* Where a link leads, within the root: ours by name, others only where the
 * kernel's idea of the root is ours, too. */
static bool follow(struct list *l)
{
	char here[PATH_MAX], real[PATH_MAX];
	in_root(here, l->root, LIST_FILE);
	ssize_t n = readlink(here, l->link, sizeof(l->link) - 1);
	l->link[n < 0 ? 0 : n] = 0;
	snprintf(l->path, sizeof(l->path), "%s", here);
	if (n < 0)
		return true;
	l->fleeting = !strcmp(l->link, LIST_VOLATILE);
	if (l->fleeting) {
		in_root(l->path, l->root, LIST_VOLATILE);
		return true;
	}
	if (*l->root || !realpath(here, real)) {
		snprintf(list_why, sizeof(list_why), "%s: a link to %.*s that is not hz-preload's",
			 here, 200, l->link);
		return false;
	}
	snprintf(l->path, sizeof(l->path), "%s", real);
	return true;
}

static bool slurp(const char *path, struct stat *s, char **text, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	size_t room = 0, n = 0;
	char *p = NULL;
	bool ok = !fstat(fd, s);
	if (ok && !S_ISREG(s->st_mode)) {
		errno = EINVAL;
		ok = false;
	}
	while (ok) {
		if (n + 1 >= room) {
			char *more = n >= LIST_BYTES ? NULL : realloc(p, room = room * 2 + 4096);
			if (!more) {
				errno = EFBIG;
				ok = false;
				break;
			}
			p = more;
		}
		ssize_t r = read(fd, p + n, room - n - 1);
		if (r < 0 && errno == EINTR)
			continue;
		ok = r >= 0;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	int error = errno;
	close(fd);
	errno = error;
	if (!ok) {
		free(p);
		return false;
	}
	p[n] = 0;
	*text = p;
	*bytes = n;
	return true;
}

bool list_read(struct list *l, const char *root)
{
	*l = (struct list){ .root = root };
	if (!follow(l))
		return false;
	l->exists = slurp(l->path, &l->stat, &l->text, &l->bytes);
	if (!l->exists) {
		if (errno != ENOENT) {
			failed(l->path);
			if (errno == EINVAL)
				snprintf(list_why, sizeof(list_why), "%s: not a file", l->path);
			return false;
		}
		l->text = calloc(1, 1);
	}
	if (l->text && memchr(l->text, 0, l->bytes)) {
		snprintf(list_why, sizeof(list_why), "%s: not a text file", l->path);
		return false;
	}
	return l->text || failed(l->path);
}

void list_free(struct list *l)
{
	free(l->text);
	l->text = NULL;
}

/* Words. */

const char *list_word(const struct list *l, size_t *at, size_t *n)
{
	for (;;) {
		*at += strspn(l->text + *at, " \t\n:");
		if (l->text[*at] != '#')
			break;
		*at += strcspn(l->text + *at, "\n");
	}
	*n = strcspn(l->text + *at, " \t\n:#");
	*at += *n;
	return *n ? l->text + *at - *n : NULL;
}

char *list_without(const struct list *l, bool (*gone)(const char *word, size_t n, void *x), void *x)
{
	char *to = malloc(l->bytes + 1), *out = to;
	const char *line = l->text;
	while (to && *line) {
		size_t length = strcspn(line, "\n"), i = 0;
		const char *next = line + length + (line[length] == '\n');
		char *begin = out;
		bool cut = false, rest = false;
		while (i < length) {
			size_t n = strcspn(line + i, " \t:#\n");
			if (n && gone(line + i, n, x)) {
				cut = true;
				i += n;
				/* with the one separator behind it */
				if (i < length && line[i] != '#')
					i++;
				continue;
			}
			n = n ? n : line[i] == '#' ? length - i : 1;
			rest |= n > 1 || !strchr(" \t:", line[i]);
			memcpy(out, line + i, n);
			out += n;
			i += n;
		}
		if (cut && !rest)
			out = begin; /* the whole line was ours */
		else if (next != line + length)
			*out++ = '\n';
		line = next;
	}
	if (to)
		*out = 0;
	return to;
}

bool list_on_trial(const struct list *l)
{
	size_t at = 0, n;
	const char *w;
	while ((w = list_word(l, &at, &n)))
		if (place_ours(w, n) && memmem(w, n, LIST_TRIAL, strlen(LIST_TRIAL)))
			return true;
	return false;
}

void list_keep_standard(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2)
		fd = open("/dev/null", O_RDWR);
	if (fd > 2)
		close(fd);
}

/* Writing. */

static bool sync_directory(const char *path)
{
	char dir[PATH_MAX];
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && !fsync(fd);
	if (fd >= 0)
		close(fd);
	return ok || failed(dir);
}

/* What an earlier one left that was killed; the lock is held. */
static void sweep(const char *path)
{
	char dir[PATH_MAX];
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	DIR *d = opendir(*dir ? dir : "/");
	struct dirent *e;
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, TEMPORARY, strlen(TEMPORARY)))
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

/* A name beside `path` that sweep would find. */
static bool beside(char to[PATH_MAX], const char *path)
{
	return snprintf(to, PATH_MAX, "%.*s/" TEMPORARY "XXXXXX",
			(int)(strrchr(path, '/') - path), path) < PATH_MAX;
}

static bool fill(int fd, const char *text, mode_t mode, const char *like)
{
	char context[256];
	size_t n = strlen(text);
	while (n) {
		ssize_t r = write(fd, text, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return false;
		text += r;
		n -= (size_t)r;
	}
	/* Where SELinux labels files, a new one has the label of the one it replaces. */
	ssize_t c = getxattr(like, "security.selinux", context, sizeof(context));
	if (c > 0 && fsetxattr(fd, "security.selinux", context, (size_t)c, 0) && errno != EOPNOTSUPP)
		return false;
	return !fchmod(fd, mode) && !fchown(fd, 0, 0) && !fsync(fd);
}

bool list_write(const char *path, const char *text, mode_t mode)
{
	char temporary[PATH_MAX];
	errno = ENAMETOOLONG;
	int fd = beside(temporary, path) ? mkostemp(temporary, O_CLOEXEC) : -1;
	if (fd < 0)
		return failed(path);
	bool ok = fill(fd, text, mode, path);
	int error = errno;
	/* Some file systems tell of a full disk only here. */
	if (close(fd) && ok) {
		error = errno;
		ok = false;
	}
	if (!ok || rename(temporary, path)) {
		errno = ok ? errno : error;
		failed(path);
		unlink(temporary);
		return false;
	}
	return sync_directory(path);
}

/* Whether somebody else edited the list meanwhile. */
static bool changed(const struct list *l)
{
	struct list now;
	bool same = list_read(&now, l->root) && now.exists == l->exists &&
		    now.bytes == l->bytes && !memcmp(now.text, l->text, l->bytes) &&
		    !strcmp(now.link, l->link);
	list_free(&now);
	return !same;
}

static bool gone(const char *path)
{
	return (!unlink(path) || errno == ENOENT) ? sync_directory(path) : failed(path);
}

enum list_put list_put(const struct list *l, const char *text)
{
	char link[PATH_MAX];
	sweep(l->path);
	if (changed(l))
		return LIST_CHANGED;
	if (*text)
		return list_write(l->path, text, 0644) ? LIST_PUT : LIST_FAILED;
	/* First the link: what it led to is then nobody's. */
	in_root(link, l->root, LIST_FILE);
	if (l->fleeting && !gone(link))
		return LIST_FAILED;
	return gone(l->path) ? LIST_PUT : LIST_FAILED;
}

enum list_put list_put_volatile(const struct list *l, const char *text)
{
	char file[PATH_MAX], link[PATH_MAX], temporary[PATH_MAX];
	in_root(file, l->root, LIST_VOLATILE);
	in_root(link, l->root, LIST_FILE);
	sweep(link);
	sweep(file);
	if (changed(l))
		return LIST_CHANGED;
	if (!list_write(file, text, 0644))
		return LIST_FAILED;
	if (l->fleeting)
		return LIST_PUT;
	/* A name that is not taken, then a link under it, then both at once. */
	int fd = beside(temporary, link) ? mkostemp(temporary, O_CLOEXEC) : -1;
	if (fd < 0 || close(fd) || unlink(temporary) || symlink(LIST_VOLATILE, temporary) ||
	    rename(temporary, link)) {
		failed(link);
		unlink(temporary);
		unlink(file);
		return LIST_FAILED;
	}
	return sync_directory(link) ? LIST_PUT : LIST_FAILED;
}

enum list_put list_put_lasting(const struct list *l, const char *text)
{
	char link[PATH_MAX];
	if (!l->fleeting)
		return list_put(l, text);
	in_root(link, l->root, LIST_FILE);
	sweep(link);
	if (changed(l))
		return LIST_CHANGED;
	if (!list_write(link, text, 0644))
		return LIST_FAILED;
	return gone(l->path) ? LIST_PUT : LIST_FAILED;
}

static bool is_ours(const char *word, size_t n, void *any)
{
	*(bool *)any |= place_ours(word, n);
	return place_ours(word, n);
}

enum list_off list_off(const char *root, bool trial)
{
	enum { ATTEMPTS = 10 }; /* nobody edits this file so often */
	enum list_put r = LIST_CHANGED;
	/* Without the lock, too: taking it out may be all that keeps a machine alive. */
	int lock = list_lock(root);
	bool any = false;
	for (int i = 0; i < ATTEMPTS && r == LIST_CHANGED; i++) {
		struct list l;
		bool ok = list_read(&l, root);
		any = false;
		char *text = ok ? list_without(&l, is_ours, &any) : NULL;
		if (text && l.fleeting && !l.exists)
			any = true; /* the link alone, after a reboot */
		any = any && (!trial || list_on_trial(&l));
		r = !text ? LIST_FAILED : any ? list_put(&l, text) : LIST_PUT;
		free(text);
		list_free(&l);
	}
	if (lock >= 0)
		close(lock);
	if (r == LIST_CHANGED)
		snprintf(list_why, sizeof(list_why), "%s" LIST_FILE ": changes all the time", root);
	return r != LIST_PUT ? LIST_OFF_FAILED : any ? LIST_OFF : LIST_OFF_ALREADY;
}

bool list_backup(const struct list *l)
{
	char path[PATH_MAX];
	in_root(path, l->root, LIST_BACKUP);
	return list_write(path, l->text, 0644);
}
