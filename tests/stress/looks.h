/* looks.h - one step of a live writer, at each look that the shipped reader takes.
 *
 * A reader has no lock: between any two of its loads, its looks, the collector may do anything. So
 * each question is asked once for every look, with the collector's whole step just before it. The
 * answer has to be the one from before the step or the one from after it, each of which a reader
 * gives without a race. Then the step is made in parts: the writer, a thread, is held up between
 * two of its stores, goes on at a later look, or only after the answer; here the answers of all
 * these states are right.
 *
 * Daemon and reader are compiled with pauses.h, and without vectors, whose loads have no pauses. */
#ifndef PRESENCE_TESTS_LOOKS_H
#define PRESENCE_TESTS_LOOKS_H

#include "fixture.h"
#include "questions.h"

struct scene {
    const char *name;
    struct segment_settings settings;
    uint64_t begin; /* tick */
    void (*prepare)(struct fixture *fixture);
    void (*step)(struct fixture *fixture);
    const ask_function *questions; /* the last is NULL */
    bool is_moving; /* within a tick: a sum may count visitors twice, never not at all */
};

/* Check all questions of a scene with whole steps, and with some of the steps in parts. */
void looks_check(const struct scene *scene);

#endif
