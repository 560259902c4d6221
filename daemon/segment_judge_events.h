/* segment_judge_events.h - check whether a daemon can have left an existing segment's events as
 * they are. */
#ifndef PRESENCED_SEGMENT_JUDGE_EVENTS_H
#define PRESENCED_SEGMENT_JUDGE_EVENTS_H

#include "segment_judge.h"

/* Judge all events, of which there may be no room for any. Returns false with the first fault in
 * `*ret`. No other thread or process may write. */
bool events_are_sound(const struct events *events, struct segment_fault *ret);

#endif
