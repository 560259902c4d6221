#include "insert_protocol.h"

#include <stddef.h>
#include <string.h>

static void go_to(struct writer *writer, enum step step, unsigned slot)
{
    writer->step = (uint8_t)step;
    writer->slot = (uint8_t)slot;
    if (step == FIND || ((step == FIND_FREE || step == SCAN) && slot == 0) || step >= DONE)
        memset(writer->seen, 0, sizeof(writer->seen));
}

static bool swap(struct state *state, unsigned slot, uint8_t expected, uint8_t desired)
{
    if (state->slots[slot] != expected)
        return false;
    state->slots[slot] = desired;
    return true;
}

static uint8_t newest_seen(const struct writer *writer)
{
    uint8_t newest = 0;

    for (unsigned i = 0; i < SLOTS_MAX; i++)
        newest = writer->seen[i] > newest ? writer->seen[i] : newest;
    return newest;
}

static unsigned first_seen(const struct writer *writer, unsigned from)
{
    while (from < SLOTS_MAX && !writer->seen[from])
        from++;
    return from;
}

/* Choose the next step by what the scan has shown. */
static void judge_scan(const struct setup *setup, struct writer *writer, uint8_t tick)
{
    unsigned first = first_seen(writer, 0);
    unsigned second = first < SLOTS_MAX ? first_seen(writer, first + 1) : SLOTS_MAX;

    /* It may clear the newest copy when the first is gone already: then it inserts it again. */
    if (second < SLOTS_MAX && setup->fault != FORGET_NEWEST && setup->fault != NO_RAISE)
        writer->is_raised |= newest_seen(writer) == NEWEST;
    if (first == SLOTS_MAX)
        go_to(writer, FIND, 0);
    else if (second == SLOTS_MAX)
        go_to(writer, writer->seen[first] >= tick ? DONE : RAISE, first);
    else if (writer->seen[first] != newest_seen(writer) && setup->fault != NO_RAISE)
        go_to(writer, RAISE_FIRST, first);
    else
        go_to(writer, CLEAR, second);
}

static void step_find(const struct setup *setup, struct state *state, struct writer *writer,
                      uint8_t tick)
{
    unsigned slot = writer->slot;
    uint8_t word = state->slots[slot];

    if (word && tick != LEAVE && word >= tick) {
        go_to(writer, DONE, 0);
    } else if (word) {
        go_to(writer, tick == LEAVE ? REMOVE : REFRESH, slot);
        writer->seen[slot] = word;
    } else if (slot + 1 < setup->slots) {
        go_to(writer, FIND, slot + 1);
    } else {
        go_to(writer, tick == LEAVE ? DONE : FIND_FREE, 0);
    }
}

static void step_find_free(const struct setup *setup, struct state *state, struct writer *writer)
{
    unsigned slot = writer->slot;

    writer->seen[slot] = state->slots[slot] == 0;
    if (slot + 1 < setup->slots)
        go_to(writer, FIND_FREE, slot + 1);
    else
        go_to(writer, first_seen(writer, 0) < SLOTS_MAX ? INSERT : FULL, 0);
}

static void step_scan(const struct setup *setup, struct state *state, struct writer *writer,
                      uint8_t tick)
{
    unsigned slot = writer->slot;

    writer->seen[slot] = state->slots[slot];
    if (slot + 1 < setup->slots)
        go_to(writer, SCAN, slot + 1);
    else
        judge_scan(setup, writer, tick);
}

static void step_clear(const struct setup *setup, struct state *state, struct writer *writer)
{
    unsigned slot = writer->slot;
    unsigned next = first_seen(writer, slot + 1);

    if (setup->fault == BLIND_CLEAR)
        state->slots[slot] = 0;
    else
        swap(state, slot, writer->seen[slot], 0);
    if (next < SLOTS_MAX)
        go_to(writer, CLEAR, next);
    else
        go_to(writer, setup->fault == SCAN_ONCE ? DONE : SCAN, 0);
}

static void step_start(const struct setup *setup, struct state *state, struct writer *writer,
                       uint8_t tick)
{
    writer->is_late = true;
    for (unsigned i = 0; i < setup->writers; i++)
        if ((setup->ticks[i] == LEAVE) != (tick == LEAVE) && state->writers[i].step < DONE)
            writer->is_late = false;
    go_to(writer, FIND, 0);
}

bool protocol_advance(const struct setup *setup, struct state *state, unsigned number,
                      unsigned choice)
{
    struct writer *writer = &state->writers[number];
    uint8_t tick = writer->is_raised ? NEWEST : setup->ticks[number];
    unsigned slot = writer->slot;

    if (writer->step >= DONE || (writer->step == INSERT ? !writer->seen[choice] : choice != 0))
        return false;
    switch ((enum step)writer->step) {
    case START:
        step_start(setup, state, writer, tick);
        break;
    case FIND:
        step_find(setup, state, writer, tick);
        break;
    case REFRESH:
        go_to(writer, swap(state, slot, writer->seen[slot], tick) ? DONE : FIND, 0);
        break;
    case REMOVE:
        slot += swap(state, slot, writer->seen[slot], 0);
        go_to(writer, slot == setup->slots || setup->fault == LEAVE_FIRST_ONLY ? DONE : FIND, slot);
        break;
    case FIND_FREE:
        step_find_free(setup, state, writer);
        break;
    case INSERT:
        if (!swap(state, choice, 0, tick))
            go_to(writer, FIND, 0);
        else
            go_to(writer, setup->fault == NO_SCAN ? DONE : SCAN, 0);
        break;
    case SCAN:
        step_scan(setup, state, writer, tick);
        break;
    case RAISE:
        swap(state, slot, writer->seen[slot], tick);
        go_to(writer, SCAN, 0);
        break;
    case RAISE_FIRST:
        if (swap(state, slot, writer->seen[slot], newest_seen(writer)))
            go_to(writer, CLEAR, first_seen(writer, slot + 1));
        else
            go_to(writer, SCAN, 0);
        break;
    case CLEAR:
        step_clear(setup, state, writer);
        break;
    case DONE:
    case FULL:
        return false;
    }
    return true;
}

const char *protocol_judge(const struct setup *setup, const struct state *state)
{
    unsigned copies = 0, leaves = 0;
    uint8_t word = 0, newest = 0, newest_late = 0;
    bool has_late_leave = false;

    for (unsigned i = 0; i < setup->slots; i++) {
        copies += state->slots[i] != 0;
        word = state->slots[i] ? state->slots[i] : word;
        newest = setup->initial[i] > newest ? setup->initial[i] : newest;
    }
    for (unsigned i = 0; i < setup->writers; i++) {
        const struct writer *writer = &state->writers[i];
        uint8_t tick = setup->ticks[i];
        if (writer->step < DONE)
            return NULL;
        leaves += tick == LEAVE;
        has_late_leave |= tick == LEAVE && writer->is_late;
        if (writer->step == FULL)
            continue;
        newest = tick > newest ? tick : newest;
        newest_late = writer->is_late && tick > newest_late ? tick : newest_late;
    }
    if (copies > 1)
        return "the key is there twice";
    if (!leaves && newest && copies == 0)
        return "the key was lost";
    if (!leaves && word != newest)
        return "the newest tick was lost";
    if (leaves && word < newest_late)
        return "a heartbeat that began after all leaves was lost, or its tick";
    if (copies && ((has_late_leave && leaves == 1) || leaves == setup->writers))
        return "a leave that began after all heartbeats left a copy";
    return NULL;
}
