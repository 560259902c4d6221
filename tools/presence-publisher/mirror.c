#include "mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_SLACK_S 2 /* the wall clock's seconds and the collector's begin at other moments */

/* ---- memory ------------------------------------------------------------------------------- */

static int side_init(uint32_t capacity, const struct scan_windows *windows, struct mirror_side *ret)
{
    int r = scan_alloc(capacity, windows, &ret->scan);

    if (r < 0)
        return r;
    ret->names = calloc(capacity, sizeof(*ret->names));
    ret->keys = calloc(capacity, sizeof(*ret->keys));
    return ret->names && ret->keys ? 0 : -ENOMEM;
}

static void side_free(struct mirror_side *side)
{
    for (uint32_t i = 0; side->names && i < side->scan.capacity; i++)
        free(side->names[i]);
    free(side->names);
    free(side->keys);
    scan_free(&side->scan);
    *side = (struct mirror_side){0};
}

int mirror_init(uint32_t capacity, const struct scan_windows *windows, struct mirror *ret)
{
    struct mirror mirror = {0};
    int r = side_init(capacity, windows, &mirror.written);

    if (r == 0)
        r = side_init(capacity, windows, &mirror.next);
    mirror.list = calloc(capacity, sizeof(*mirror.list));
    mirror.chain = calloc(capacity, sizeof(*mirror.chain));
    mirror.heads = calloc(capacity, sizeof(*mirror.heads));
    mirror.lengths = calloc(capacity, sizeof(*mirror.lengths));
    if (r == 0 && (!mirror.list || !mirror.chain || !mirror.heads || !mirror.lengths))
        r = -ENOMEM;
    if (r < 0)
        mirror_free(&mirror);
    else
        *ret = mirror;
    return r;
}

void mirror_free(struct mirror *mirror)
{
    mirror_discard(mirror); /* both sides may have the same names */
    side_free(&mirror->written);
    side_free(&mirror->next);
    free(mirror->list);
    free(mirror->chain);
    free(mirror->heads);
    free(mirror->lengths);
    *mirror = (struct mirror){0};
}

/* ---- what the engine should have ----------------------------------------------------------- */

/* Return the windows in which a scope has visitors, bit WINDOW. */
static uint8_t counted_windows(const struct scan *scan, uint32_t index)
{
    uint8_t windows = 0;

    for (unsigned i = 0; i < scan->windows.count; i++)
        windows |= (uint8_t)((scan->counts[i][index] != 0) << i);
    return windows;
}

/* Leave a scope out of this pass: the next one may find it, with its site. */
static void leave_out(struct scan *scan, uint32_t index)
{
    scan->scopes[index].generation = 0;
    for (unsigned i = 0; i < scan->windows.count; i++)
        scan->counts[i][index] = 0;
}

static bool has_site(const struct scan *scan, const struct scan_scope *scope)
{
    return scope->site < scan->capacity && scan->scopes[scope->site].kind == PRESENCE_SITE &&
           scan->scopes[scope->site].generation != 0;
}

/* Give a scope the name that the engine knows it by, or copy it. A name that can't be had leaves
 * the scope out. Errors: -ENOMEM. */
static int name_scope(struct mirror *mirror, const struct presence *presence, uint32_t index)
{
    struct scan *scan = &mirror->next.scan;
    char name[PRESENCE_NAME_MAX + 1];

    if (mirror_is_same(mirror, index))
        mirror->next.names[index] = mirror->written.names[index];
    if (mirror->next.names[index])
        return 0;
    if (!scan_copy_name(presence, scan, index, name)) {
        leave_out(scan, index);
        return 0;
    }
    mirror->next.names[index] = strdup(name);
    return mirror->next.names[index] ? 0 : -ENOMEM;
}

/* Find out the windows in which a site's own marks need a key. */
static uint8_t marked_windows(const struct scan *scan, uint32_t index)
{
    const struct scan_scope *scope = &scan->scopes[index];
    const uint32_t kinds = (UINT32_C(1) << SCAN_KINDS) - 1;
    uint8_t windows = 0;

    for (unsigned i = 0; i < scan->windows.count; i++) {
        if (scope->unknown || (scope->partial >> (SCAN_KINDS * i) & kinds))
            windows |= (uint8_t)(1u << i);
    }
    return windows;
}

/* Keep the time of a quiet site's last heartbeat as it was written: it is computed anew in each
 * pass, from two clocks. */
static void keep_quiet(struct mirror *mirror, uint32_t index)
{
    const int64_t written = mirror->written.scan.scopes[index].last_heartbeat;
    int64_t *next = &mirror->next.scan.scopes[index].last_heartbeat;

    if (mirror_is_same(mirror, index) && written && *next &&
        llabs(*next - written) <= QUIET_SLACK_S)
        *next = written;
}

/* Errors: as of name_scope. */
static int load_site(struct mirror *mirror, const struct presence *presence, uint32_t index)
{
    struct mirror_side *next = &mirror->next;
    int r = name_scope(mirror, presence, index);

    keep_quiet(mirror, index);
    if (next->scan.scopes[index].generation)
        next->keys[index] =
            counted_windows(&next->scan, index) | marked_windows(&next->scan, index);
    return r;
}

static int load_label(struct mirror *mirror, const struct presence *presence, uint32_t index)
{
    struct mirror_side *next = &mirror->next;
    const struct scan_scope *scope = &next->scan.scopes[index];
    uint8_t windows = counted_windows(&next->scan, index);
    int r = 0;

    if (!has_site(&next->scan, scope))
        leave_out(&next->scan, index);
    else if (windows)
        r = name_scope(mirror, presence, index);
    if (scope->generation)
        next->keys[scope->site] |= windows;
    return r;
}

int mirror_load(struct mirror *mirror, struct presence *presence)
{
    const struct scan_scope *scopes = mirror->next.scan.scopes;
    struct mirror_side *next = &mirror->next;
    int r = 0;

    scan_pass(presence, &next->scan);
    memset(next->keys, 0, next->scan.capacity * sizeof(*next->keys));
    for (uint32_t i = 0; r == 0 && i < next->scan.used; i++) {
        if (scopes[i].generation && scopes[i].kind == PRESENCE_SITE)
            r = load_site(mirror, presence, i);
    }
    for (uint32_t i = 0; r == 0 && i < next->scan.used; i++) {
        if (scopes[i].generation && scopes[i].kind != PRESENCE_SITE)
            r = load_label(mirror, presence, i);
    }
    if (r < 0)
        mirror_discard(mirror);
    return r;
}

/* ---- afterwards --------------------------------------------------------------------------- */

/* Free the names that only `old` has. It then has none. */
static void drop_names(struct mirror_side *old, const struct mirror_side *kept, uint32_t used)
{
    for (uint32_t i = 0; i < used; i++) {
        if (old->names[i] != kept->names[i])
            free(old->names[i]);
        old->names[i] = NULL;
    }
}

void mirror_commit(struct mirror *mirror)
{
    struct mirror_side written = mirror->written;

    drop_names(&mirror->written, &mirror->next, mirror_used(mirror));
    mirror->written = mirror->next;
    mirror->next = written;
}

void mirror_discard(struct mirror *mirror)
{
    drop_names(&mirror->next, &mirror->written, mirror_used(mirror));
}

struct mirror_marks mirror_marks_of(const struct mirror_side *side, uint32_t index, unsigned window)
{
    const struct scan_scope *scope = &side->scan.scopes[index];
    const uint32_t kinds = (UINT32_C(1) << SCAN_KINDS) - 1;

    return (struct mirror_marks){
        .unknown = scope->unknown,
        .partial = (uint8_t)(scope->partial >> (SCAN_KINDS * window) & kinds),
        .quiet = side->scan.counts[window][index] ? scope->last_heartbeat : 0,
    };
}
