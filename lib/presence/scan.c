#include "scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

_Static_assert((int)SCAN_KINDS == (int)SCOPE_KINDS, "the public kinds are the directory's");
_Static_assert(SCAN_WINDOWS_MAX *SCAN_KINDS <= 32, "scan_partial_bit fits");

/* ---- windows ------------------------------------------------------------------------------ */

static int compare_seconds(const void *left, const void *right)
{
    const uint32_t *a = left, *b = right;

    return *a < *b ? -1 : *a > *b;
}

/* Sort, and keep each window once. */
static void sort_windows(struct scan_windows *windows)
{
    unsigned kept = 0;

    qsort(windows->seconds, windows->count, sizeof(windows->seconds[0]), compare_seconds);
    for (unsigned i = 0; i < windows->count; i++) {
        if (kept == 0 || windows->seconds[i] != windows->seconds[kept - 1])
            windows->seconds[kept++] = windows->seconds[i];
    }
    windows->count = kept;
}

bool scan_choose_windows(const struct presence *presence, const uint32_t *wanted_s, size_t count,
                         struct scan_windows *ret)
{
    struct scan_windows windows = {.count = 0};
    uint32_t chosen;
    bool left_out = false;

    for (size_t i = 0; i < count; i++) {
        if (windows.count < SCAN_WINDOWS_MAX &&
            reader_choose_window(presence, wanted_s[i], &chosen) == 0)
            windows.seconds[windows.count++] = window_rounded(chosen);
        else
            left_out = true;
    }
    if (windows.count == 0 && reader_choose_window(presence, 0, &chosen) == 0)
        windows.seconds[windows.count++] = window_rounded(chosen);
    sort_windows(&windows);
    *ret = windows;
    return left_out;
}

/* ---- the segment -------------------------------------------------------------------------- */

uint64_t scan_tick(const struct presence *presence)
{
    /* Acquire: pairs with collector_advance. */
    return atomic_load_acquire(&presence->segment.header->tick);
}

uint32_t scan_capacity(const struct presence *presence)
{
    return presence->segment.directory.capacity;
}

uint32_t scan_streams_max(const struct presence *presence)
{
    return presence->segment.streams.capacity;
}

void scan_identify(const struct presence *presence, char ret[SCAN_IDENTITY_SIZE])
{
    const uint8_t *boot = presence->header.boot_id;
    size_t length = 0;

    for (unsigned i = 0; i < 8; i++)
        length += (size_t)snprintf(ret + length, SCAN_IDENTITY_SIZE - length, "%02x", boot[i]);
    snprintf(ret + length, SCAN_IDENTITY_SIZE - length, "-%" PRIxMAX "-%" PRIxMAX,
             (uintmax_t)presence->device, (uintmax_t)presence->inode);
}

int scan_alloc(uint32_t capacity, const struct scan_windows *windows, struct scan *ret)
{
    struct scan scan = {.windows = *windows, .capacity = capacity};

    scan.scopes = calloc(capacity, sizeof(*scan.scopes));
    bool complete = scan.scopes;
    for (unsigned i = 0; i < windows->count; i++) {
        scan.counts[i] = calloc(capacity, sizeof(*scan.counts[i]));
        complete = complete && scan.counts[i];
    }
    if (!complete) {
        scan_free(&scan);
        return -ENOMEM;
    }
    *ret = scan;
    return 0;
}

void scan_free(struct scan *scan)
{
    for (unsigned i = 0; i < SCAN_WINDOWS_MAX; i++)
        free(scan->counts[i]);
    free(scan->scopes);
    *scan = (struct scan){0};
}

/* ---- a pass ------------------------------------------------------------------------------- */

/* Make a generation of a state word: the same while an entry is the same scope's, and never 0. */
static uint64_t generation_of(uint64_t state)
{
    return state | SCOPE_STATE_MASK;
}

/* Set the marks of R6 of a site that is not gone. */
static void mark_site(const struct presence *presence, struct scan *scan, uint32_t index,
                      const struct reader_moment *moment)
{
    const uint32_t longest = presence->header.geometry.max_window;
    struct scan_scope *scope = &scan->scopes[index];

    for (unsigned kind = SCOPE_SITE; kind < SCOPE_KINDS; kind++) {
        if (kind != SCOPE_SITE &&
            reader_labels_refused(presence, index, (enum scope_kind)kind, longest, moment))
            scope->unknown |= (uint8_t)(1u << kind);
        for (unsigned i = 0; i < scan->windows.count; i++) {
            if (reader_is_partial(presence, index, index, (enum scope_kind)kind,
                                  scan->windows.seconds[i], moment))
                scope->partial |= scan_partial_bit(i, (enum presence_kind)kind);
        }
    }
}

/* Mark the site of a label that had visitors refused before it was created. Its mark is nearly
 * never set, and then the site has one as well, which costs no cache miss. */
static void mark_label(const struct presence *presence, struct scan *scan, uint32_t index,
                       const struct reader_moment *moment)
{
    const struct scan_scope *scope = &scan->scopes[index];
    const enum scope_kind kind = (enum scope_kind)scope->kind;
    const uint32_t *refused;

    if (scope->site >= scan->capacity)
        return;
    refused = &presence->segment.directory.entries[scope->site].scopes_refused[kind];
    if (atomic_load_relaxed(refused) == 0) /* any recent value will do */
        return;
    for (unsigned i = 0; i < scan->windows.count; i++) {
        if (reader_visitors_refused(presence, scope->site, index, kind, scan->windows.seconds[i],
                                    moment))
            scan->scopes[scope->site].partial |=
                scan_partial_bit(i, (enum presence_kind)scope->kind);
    }
}

/* Count a scope in all windows that its last heartbeat is in: the others need no sum. */
static void count_scope(const struct presence *presence, struct scan *scan, uint32_t index,
                        struct reader_moment *moment)
{
    uint32_t age = reader_last_heartbeat(presence, index, moment);

    for (unsigned i = 0; i < scan->windows.count; i++) {
        uint32_t window = scan->windows.seconds[i];
        scan->counts[i][index] = age < window ? reader_count(presence, index, window, moment) : 0;
    }
    if (reader_is_gone(presence, age))
        return;
    if (scan->scopes[index].kind != SCOPE_SITE) {
        mark_label(presence, scan, index, moment);
        return;
    }
    mark_site(presence, scan, index, moment);
    if (age > SCAN_QUIET_S)
        scan->scopes[index].last_heartbeat = scan->as_of - (int64_t)age;
}

static void forget_scope(struct scan *scan, uint32_t index)
{
    for (unsigned i = 0; i < scan->windows.count; i++)
        scan->counts[i][index] = 0;
    scan->scopes[index] = (struct scan_scope){.partial = scan->scopes[index].partial};
}

/* Load an entry, and count its scope. */
static void visit(const struct presence *presence, struct scan *scan, uint32_t index,
                  struct reader_moment *moment)
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    struct scan_scope *scope = &scan->scopes[index];
    uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope's release */

    if (scope_state_of(state) != SCOPE_FREE) {
        scope->generation = generation_of(state);
        /* Once: they may change. */
        scope->site = atomic_load_relaxed(&entry->site);
        scope->kind = atomic_load_relaxed(&entry->kind);
        if (scope->kind < SCOPE_KINDS)
            count_scope(presence, scan, index, moment);
        if (scope->kind < SCOPE_KINDS && scope_is_same(entry, state)) {
            scan->used = index + 1;
            scan->scope_count++;
            return;
        }
    }
    forget_scope(scan, index);
}

void scan_pass(struct presence *presence, struct scan *scan)
{
    struct reader_moment moment = reader_load_moment(presence);

    scan->tick = moment.tick;
    scan->as_of = reader_as_of(&moment);
    scan->stale = reader_is_stale(&moment);
    scan->warming = reader_is_warming(presence, &moment);
    scan->used = 0;
    scan->scope_count = 0;
    memset(scan->scopes, 0, scan->capacity * sizeof(*scan->scopes));
    for (uint32_t i = 0; i < scan->capacity; i++)
        visit(presence, scan, i, &moment);
    /* Last: who was refused during the pass may be missing in a count. */
    scan->unknown = reader_sites_refused(presence, presence->header.geometry.max_window, &moment);
}

/* True if the entry still belongs to the scope that the pass has found. */
static bool is_same(const struct presence *presence, const struct scan *scan, uint32_t index)
{
    const uint64_t generation = scan->scopes[index].generation;

    return generation && scope_is_same(&presence->segment.directory.entries[index], generation);
}

bool scan_copy_name(const struct presence *presence, const struct scan *scan, uint32_t index,
                    char ret[PRESENCE_NAME_MAX + 1])
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    const struct scan_scope *scope = &scan->scopes[index];
    const uint8_t length = atomic_load_relaxed(&entry->name_length); /* once */

    return length > 0 && reader_copy_name(entry->name, length, ret) &&
           is_same(presence, scan, index) &&
           (scope->kind == SCOPE_SITE ||
            (scope->site < scan->capacity && is_same(presence, scan, scope->site)));
}
