/* SPDX-License-Identifier: MIT */
/*
 * report_os.h - what only reports and options ask of the kernel.
 *
 *   who asked for none of them pays for none: nothing here runs in a program
 *   that set no option and that nobody looks into
 *
 * Any thread; errno is never written.  Async-signal-safe, all of it.
 * Who may call: reports, observers, cgroup.c and purger.c.
 */
#pragma once

#include "os.h"

/* Which file a descriptor is open on, device and inode; false when closed. */
bool hz_os_file_id(int fd, uint64_t id[2]);
/* Opens a file for appending, made if missing, mode 0600; -1 when refused. */
int hz_os_append(const char *path);
void hz_os_close(int fd);
/* Name of the program's file without its directory; "-" when unknown. */
void hz_os_program(char *name, size_t n);
/* For options: the first n - 1 bytes of a file, NUL-terminated, their
 * number or -1; a name of the calling thread; its signals, all but libc's own. */
long hz_os_read_file(const char *path, char *text, size_t n);
void hz_os_name_thread(const char *name);
void hz_os_block_signals(uint64_t *was);
void hz_os_set_signals(const uint64_t *mask);
