/* SPDX-License-Identifier: MIT */
/*
 * show.h - one account in five forms: text, JSON, CSV, OpenMetrics, in words.
 *
 * All machine-readable forms come from one table of names (show.c), so a
 * figure has the same name everywhere; hz_obs(5) explains each.
 * It refuses to compute: sums and shares alone are made here.
 */
#ifndef HZ_STAT_SHOW_H
#define HZ_STAT_SHOW_H

#include "heap.h"

void show_text(FILE *to, const struct image *m, const struct account *a, int top);
void show_json(FILE *to, const struct image *m, const struct account *a, int top);
void show_csv_head(FILE *to);
void show_csv(FILE *to, const struct image *m, const struct account *a);
void show_explain(FILE *to, const struct image *m, const struct account *a);

/* Families first, then one sample of each per process, then the end. */
struct shown {
	int pid;
	char name[32];
	struct account account;
};
void show_openmetrics(FILE *to, const struct shown *all, size_t n);

#endif
