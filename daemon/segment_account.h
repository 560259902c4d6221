/* segment_account.h - say in a few words why a segment was replaced, and what moved into the new
 * one.
 */
#ifndef PRESENCED_SEGMENT_ACCOUNT_H
#define PRESENCED_SEGMENT_ACCOUNT_H

#include "segment_move.h"

/* Describe what changed between two segments' settings and what moved. `ret` has `size` bytes; the
 * description is cut off if it does not fit. */
void segment_account(const struct segment_geometry *old, const struct segment_geometry *new,
                     const struct segment_moved *moved, char *ret, size_t size);

#endif
