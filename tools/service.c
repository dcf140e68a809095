/* SPDX-License-Identifier: MIT */
/*
 * service.c - libhz for one systemd service, or all but one.
 *
 *      /etc/systemd/system/NAME.service.d/50-libhz.conf
 *        Environment=LD_PRELOAD=/usr/$LIB/libhz.so.0     this one
 *        InaccessiblePaths=-/etc/ld.so.preload           not this one
 *
 * A unit that has an LD_PRELOAD of its own is left alone: a second assignment
 * would replace the first.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload.h"

#define UNITS "/etc/systemd/system"
#define DROP_IN "50-libhz.conf"

/* Where units are, the later ones only read. */
static const char *const unit_dirs[] = { UNITS, "/run/systemd/system", "/usr/local/lib/systemd/system",
					 "/usr/lib/systemd/system", "/lib/systemd/system" };

/* "foo", "foo.service", "foo@1" -> "foo.service"; false if it cannot be one. */
static bool unit_name(const char *name, char to[256])
{
	static const char tail[] = ".service";
	size_t n = strlen(name), t = sizeof(tail) - 1;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr(":_.@\\-", name[i]))
			return false;
	bool has = n > t && !strcmp(name + n - t, tail);
	return n && *name != '.' && snprintf(to, 256, "%s%s", name, has ? "" : tail) < 256;
}

static bool sets_preload(const char *path)
{
	char line[1024];
	FILE *f = fopen(path, "re");
	bool found = false;
	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *p = line + strspn(line, " \t");
		found = !strncmp(p, "Environment", 11) && strstr(p, "LD_PRELOAD=");
	}
	if (f)
		fclose(f);
	return found;
}

/* A file of the unit that sets LD_PRELOAD, our drop-in excepted. */
static bool other_preload(const char *root, const char *unit, char path[PATH_MAX], bool *known)
{
	char dir[PATH_MAX];
	struct stat s;
	for (size_t i = 0; i < sizeof(unit_dirs) / sizeof(*unit_dirs); i++) {
		struct dirent *e;
		snprintf(path, PATH_MAX, "%.2000s%s/%s", root, unit_dirs[i], unit);
		*known |= !lstat(path, &s);
		if (sets_preload(path))
			return true;
		snprintf(dir, sizeof(dir), "%.2000s%s/%s.d", root, unit_dirs[i], unit);
		DIR *d = opendir(dir);
		while (d && (e = readdir(d))) {
			if (!strcmp(e->d_name, DROP_IN))
				continue;
			snprintf(path, PATH_MAX, "%.3800s/%s", dir, e->d_name);
			if (sets_preload(path)) {
				closedir(d);
				return true;
			}
		}
		if (d)
			closedir(d);
	}
	/* A template's instances are units without a file of their own. */
	if (!*known && strchr(unit, '@')) {
		char template[256];
		snprintf(template, sizeof(template), "%.*s@.service",
			 (int)(strchr(unit, '@') - unit), unit);
		if (strcmp(template, unit))
			return other_preload(root, template, path, known);
	}
	return false;
}

static bool make_dir(const char *root, const char *path)
{
	char part[PATH_MAX];
	size_t n = strlen(root);
	snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + n + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(part, 0755) && errno != EEXIST) {
			complain("%s: %s", part, strerror(errno));
			return false;
		}
		*slash = '/';
	}
	return true;
}

static int take_off(const char *path, const char *unit)
{
	char dir[PATH_MAX];
	if (unlink(path) && errno != ENOENT) {
		complain("%s: %s", path, strerror(errno));
		return 1;
	}
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	rmdir(dir); /* where nothing else is in it */
	printf("%s is as it was; now: systemctl daemon-reload && systemctl restart %s\n", unit, unit);
	return 0;
}

int service(const struct plan *p, const char *name, bool exempt, bool off)
{
	char unit[256], path[PATH_MAX], other[PATH_MAX], text[2 * PATH_MAX];
	bool known = false;
	if (!unit_name(name, unit)) {
		complain("not the name of a service: '%s'", name);
		return 2;
	}
	if (snprintf(path, sizeof(path), "%s" UNITS "/%s.d/" DROP_IN, p->root, unit) >=
	    (int)sizeof(path)) {
		complain("%s: the name is too long", unit);
		return 2;
	}
	if (off)
		return take_off(path, unit);
	if (other_preload(p->root, unit, other, &known) && !exempt) {
		complain("%s sets LD_PRELOAD already: put %s there", other, p->entry);
		return 1;
	}
	if (!known)
		complain("warning: there is no %s here yet", unit);
	if (!exempt && !switch_check(p, false)) {
		complain("%s is not fit for a service; nothing was changed", p->path);
		return 1;
	}
	snprintf(text, sizeof(text), "# Written by hz-preload(8); hz-preload service %s --remove\n"
		 "[Service]\n%s%s%s\n", name,
		 exempt ? "InaccessiblePaths=-" LIST_FILE : "Environment=\"LD_PRELOAD=",
		 exempt ? "" : p->entry, exempt ? "" : "\"");
	if (!make_dir(p->root, path))
		return 1;
	if (!list_write(path, text, 0644)) {
		complain("%s", list_why);
		return 1;
	}
	printf("%s %s; now: systemctl daemon-reload && systemctl restart %s\n"
	       "undo: hz-preload service %s --remove\n",
	       unit, exempt ? "is exempt from " LIST_FILE : "gets libhz", unit, name);
	return 0;
}

void service_list(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	snprintf(path, sizeof(path), "%s" UNITS, root);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		if (!strstr(e->d_name, ".service.d"))
			continue;
		snprintf(path, sizeof(path), "%.3000s" UNITS "/%s/" DROP_IN, root, e->d_name);
		FILE *f = fopen(path, "re");
		int n = (int)strlen(e->d_name) - 2;
		while (f && fgets(line, sizeof(line), f)) {
			const char *value = strstr(line, "LD_PRELOAD=");
			if (value)
				printf("service %.*s: %.*s\n", n, e->d_name,
				       (int)strcspn(value + 11, "\"\n"), value + 11);
			else if (!strncmp(line, "InaccessiblePaths=", 18))
				printf("service %.*s: exempt\n", n, e->d_name);
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}
