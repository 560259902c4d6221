/* reader_history.c - find histories by name, and copy them between two loads of their version. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_bytes.h"

/* ---- finding ----------------------------------------------------------------------------- */

static uint64_t hash_of(const struct presence *presence, const struct reader_place *place)
{
    struct scope_name site =
        scope_name_site(presence->header.secret, place->site.bytes, place->site.length);

    if (place->kind == SCOPE_SITE)
        return site.hash;
    return scope_name_label(&site, SCOPE_NONE, place->kind, place->label.bytes, place->label.length)
        .hash;
}

/* Relaxed, all of it: believed only if the version is the same afterwards. */
static bool is_named(const struct history *head, const struct reader_place *place)
{
    if (atomic_load_relaxed(&head->kind) != place->kind ||
        atomic_load_relaxed(&head->site_length) != place->site.length ||
        !atomic_has_bytes_relaxed(head->site, place->site.bytes, place->site.length))
        return false;
    return place->kind == SCOPE_SITE ||
           (atomic_load_relaxed(&head->name_length) == place->label.length &&
            atomic_has_bytes_relaxed(head->name, place->label.bytes, place->label.length));
}

bool reader_is_same_history(const struct presence *presence, const struct reader_history *history)
{
    /* Order every load of the history before this one (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&presence->segment.histories.heads[history->index].version) ==
           history->version;
}

int reader_find_history(const struct presence *presence, const struct reader_place *place,
                        struct reader_history *ret)
{
    const struct histories *histories = &presence->segment.histories;
    uint64_t hash = hash_of(presence, place);

    if (histories->capacity == 0)
        return -EOPNOTSUPP;
    for (uint32_t i = 0; i < histories->capacity; i++) {
        const struct history *head = &histories->heads[i];
        struct reader_history found = {
            .index = i, .version = atomic_load_acquire(&head->version), /* pairs with end_naming */
        };
        if (found.version == 0) /* never used, and neither was any after it */
            break;
        if (found.version & 1 || atomic_load_relaxed(&head->hash) != hash ||
            !is_named(head, place) || !reader_is_same_history(presence, &found))
            continue;
        *ret = found;
        return 0;
    }
    return -ENOENT;
}

/* ---- listing ----------------------------------------------------------------------------- */

static bool copy_scope(const struct presence *presence, uint32_t index, struct presence_scope *ret)
{
    const struct history *head = &presence->segment.histories.heads[index];
    struct reader_history history = {
        .index = index, .version = atomic_load_acquire(&head->version), /* pairs with end_naming */
    };
    /* Relaxed: believed only if the version is the same afterwards. */
    uint8_t kind = atomic_load_relaxed(&head->kind);
    uint8_t site_length = atomic_load_relaxed(&head->site_length);
    uint8_t name_length = atomic_load_relaxed(&head->name_length);

    if (history.version & 1 || kind >= SCOPE_KINDS || site_length == 0 ||
        site_length > HISTORY_SITE_MAX || (kind == SCOPE_SITE) != (name_length == 0))
        return false;
    *ret = (struct presence_scope){.kind = (enum presence_kind)kind};
    return reader_copy_name(head->site, site_length, ret->site) &&
           reader_copy_name(head->name, name_length, ret->name) &&
           reader_is_same_history(presence, &history);
}

static int compare_scopes(const void *left, const void *right)
{
    const struct presence_scope *a = left, *b = right;
    int order = (a->kind != PRESENCE_SITE) - (b->kind != PRESENCE_SITE);

    if (order == 0)
        order = strcmp(a->site, b->site);
    if (order == 0)
        order = (int)a->kind - (int)b->kind;
    return order ? order : strcmp(a->name, b->name);
}

int presence_history_scopes(struct presence *presence, struct presence_scopes *ret)
{
    reader_current_moment(presence); /* reopens a replaced segment */
    uint32_t high_water = histories_high_water(&presence->segment.histories);
    struct presence_scopes listing = {0};

    if (presence->segment.histories.capacity == 0)
        return -EOPNOTSUPP;
    listing.scopes = calloc((size_t)high_water + 1, sizeof(*listing.scopes));
    if (!listing.scopes)
        return -ENOMEM;
    for (uint32_t i = 0; i < high_water; i++)
        listing.length += copy_scope(presence, i, &listing.scopes[listing.length]);
    qsort(listing.scopes, listing.length, sizeof(*listing.scopes), compare_scopes);
    *ret = listing;
    return 0;
}

void presence_scopes_free(struct presence_scopes *scopes)
{
    free(scopes->scopes);
    *scopes = (struct presence_scopes){0};
}

/* ---- minutes ----------------------------------------------------------------------------- */

/* Copy one minute. A writer needs less than a microsecond, unless it was killed, so retries are
 * bounded. */
static bool load_minute(const struct history_minute *record, uint64_t minute,
                        struct history_minute *ret)
{
    for (int attempt = 0; attempt < READER_ATTEMPTS; attempt++) {
        if (history_load_minute(record, minute, ret))
            return true;
        uint64_t mark = atomic_load_relaxed(&record->mark); /* another minute's: don't retry */
        if (mark && history_mark_minute(mark) != minute)
            return false;
    }
    return false;
}

static struct presence_minute public_minute(const struct history_minute *record, uint64_t minute,
                                            int64_t start, uint64_t sampled)
{
    uint32_t samples = history_mark_samples(record->mark);

    return (struct presence_minute){
        .minute = minute,
        .start = start,
        .minimum = record->minimum,
        .maximum = record->maximum,
        .mean = samples ? (double)record->sum / samples : 0,
        .seconds = samples,
        .heartbeats = record->heartbeats,
        .pageviews = record->pageviews,
        .entries = record->entries,
        .leaves = record->leaves,
        .departures = record->departures,
        .warming = record->mark & HISTORY_MARK_WARMING,
        .running = minute >= sampled / 60,
    };
}

/* Copy the minutes between two points in time. `ret` has room for HISTORY_MINUTES. */
static void load_minutes(const struct presence *presence, uint32_t index,
                         const struct reader_moment *moment, int64_t since, int64_t until,
                         struct presence_history *history)
{
    const struct histories *histories = &presence->segment.histories;
    /* Acquire: pairs with sample_history. Records that it completed before are complete here. */
    uint64_t sampled = atomic_load_acquire(&histories->heads[index].sampled);
    uint64_t newest = sampled / 60;
    uint64_t minute = newest < HISTORY_MINUTES ? 0 : newest - HISTORY_MINUTES + 1;
    struct history_minute record;

    history->length = 0;
    if (sampled == HISTORY_NEVER)
        return;
    for (; minute <= newest; minute++) {
        int64_t start = reader_wall(moment, minute * 60);
        if ((since && start < since) || (until && start >= until))
            continue;
        if (load_minute(history_minute_at(histories, index, minute), minute, &record))
            history->minutes[history->length++] = public_minute(&record, minute, start, sampled);
    }
}

int presence_history(struct presence *presence, enum presence_kind kind, const char *site,
                     const char *name, int64_t since, int64_t until, struct presence_history *ret)
{
    struct reader_place place;
    struct reader_history found;
    int r = reader_parse_place(kind, site, name, &place);

    if (r < 0)
        return r;
    struct reader_moment moment = reader_current_moment(presence);
    struct presence_history history = {
        .window_s = history_window(presence->header.geometry.max_window),
        .minutes = calloc(HISTORY_MINUTES, sizeof(*history.minutes)),
    };
    if (!history.minutes)
        return -ENOMEM;
    memcpy(history.boot_id, presence->header.boot_id, sizeof(history.boot_id));
    for (int attempt = 0; attempt < READER_ATTEMPTS; attempt++) {
        r = reader_find_history(presence, &place, &found);
        if (r < 0)
            break;
        load_minutes(presence, found.index, &moment, since, until, &history);
        if (reader_is_same_history(presence, &found)) {
            *ret = history;
            return 0;
        }
        r = -EAGAIN;
    }
    presence_history_free(&history);
    return r;
}

void presence_history_free(struct presence_history *history)
{
    free(history->minutes);
    *history = (struct presence_history){0};
}
