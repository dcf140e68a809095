/* SPDX-License-Identifier: MIT */
/*
 * waste.c - the sums of box waste.
 *
 *      hz_waste[0..7]   requests up to 4, 8, ... 32 KiB
 *
 * Data alone; the adding is inline in waste.h, the printing in
 * observe_lines.c.  Rows of classes never used stay zero and are not printed.
 * It refuses nothing.
 */
#include "waste.h"

struct hz_waste hz_waste[HZ_WASTE_CLASSES];
