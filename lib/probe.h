/* SPDX-License-Identifier: MIT */
/*
 * probe.h - places that tracers can be attached to, provider "libhz".
 *
 *      HZ_PROBE1(purge, pages)  -->  one no-op instruction, and a note in the
 *                                    file that names it and where pages is
 *
 * segment_open(class) segment_close(class) pressure(events) purge(pages)
 * epoch(heap) remote_collect(heap, blocks) thread_exit(heap): see hz_obs(5).
 * Without <sys/sdt.h> they are nothing at all.  Only cold paths have them.
 * It refuses hit paths: even a no-op is an instruction.
 */
#pragma once

#if HZ_SDT
#include <sys/sdt.h>
#define HZ_PROBE1(name, a) DTRACE_PROBE1(libhz, name, a)
#define HZ_PROBE2(name, a, b) DTRACE_PROBE2(libhz, name, a, b)
#else
#define HZ_PROBE1(name, a) ((void)(a))
#define HZ_PROBE2(name, a, b) ((void)(a), (void)(b))
#endif
