#include "changes.h"

#include <stdio.h>
#include <string.h>

#define NONE UINT32_MAX /* ends a chain */

typedef bool (*is_in)(const struct mirror *mirror, uint32_t index, unsigned window);

/* ---- commands ----------------------------------------------------------------------------- */

static void begin(struct changes *changes, const char *name, const char *key, size_t arguments)
{
    engine_request_begin(changes->request, 2 + arguments);
    engine_request_text(changes->request, name);
    engine_request_text(changes->request, key);
}

static void add_expiry(struct changes *changes, const char *key)
{
    begin(changes, "PEXPIRE", key, 1);
    engine_request_integer(changes->request, ENGINE_LIFETIME_MS);
}

/* Write the first field of a hash of counts. */
static void begin_key(struct changes *changes, const char *key)
{
    if (changes->anew)
        begin(changes, "UNLINK", key, 0);
    begin(changes, "HSET", key, 2);
    engine_request_text(changes->request, ENGINE_MARK_EPOCH);
    engine_request_text(changes->request, changes->epoch);
    add_expiry(changes, key);
}

static void site_key(const struct changes *changes, const struct mirror_side *side, uint32_t site,
                     unsigned window, char ret[ENGINE_KEY_MAX])
{
    engine_key_site(changes->group, changes->shard, side->scan.windows.seconds[window],
                    side->names[site], ret);
}

static void sites_key(const struct changes *changes, unsigned window, char ret[ENGINE_KEY_MAX])
{
    engine_key_sites(changes->group, changes->shard,
                     changes->mirror->next.scan.windows.seconds[window], ret);
}

/* Add a scope's field, as engine_field writes it. */
static void add_field(struct changes *changes, const struct mirror_side *side, uint32_t index)
{
    char field[ENGINE_FIELD_MAX];
    const char *name = side->names[index];

    engine_field((enum presence_kind)side->scan.scopes[index].kind, name, name, field);
    engine_request_text(changes->request, field);
}

/* Let the caller send what there is. False: nothing may be added any more. */
static bool may_go_on(struct changes *changes)
{
    if (changes->error == 0 && changes->anew && changes->spill &&
        changes->request->length >= changes->spill_bytes)
        changes->error = changes->spill(changes->context);
    return changes->error == 0;
}

/* ---- what differs ------------------------------------------------------------------------- */

static bool is_site(const struct mirror_side *side, uint32_t index)
{
    return side->scan.scopes[index].generation && side->scan.scopes[index].kind == PRESENCE_SITE;
}

/* True if the engine has a scope's count that it should not have. */
static bool is_removed(const struct mirror *mirror, uint32_t index, unsigned window)
{
    return mirror->written.scan.counts[window][index] &&
           (!mirror->next.scan.counts[window][index] || !mirror_is_same(mirror, index));
}

/* True if the engine should have a count that it has not. */
static bool is_changed(const struct mirror *mirror, uint32_t index, unsigned window)
{
    const uint32_t next = mirror->next.scan.counts[window][index];

    return next &&
           (next != mirror->written.scan.counts[window][index] || !mirror_is_same(mirror, index));
}

static bool is_there(const struct mirror *mirror, uint32_t index, unsigned window)
{
    return mirror->next.scan.counts[window][index] != 0;
}

/* True if a site's key is to be deleted: also if another site has its entry now. */
static bool is_key_removed(const struct mirror *mirror, uint32_t index, unsigned window)
{
    return mirror_has_key(&mirror->written, index, window) &&
           (!mirror_has_key(&mirror->next, index, window) || !mirror_is_same(mirror, index));
}

static bool is_key_new(const struct mirror *mirror, uint32_t index, unsigned window)
{
    return mirror_has_key(&mirror->next, index, window) &&
           (!mirror_has_key(&mirror->written, index, window) || !mirror_is_same(mirror, index));
}

/* List the sites of a side that `test` finds. Returns how many. */
static uint32_t list_sites(struct mirror *mirror, const struct mirror_side *side, unsigned window,
                           is_in test)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < side->scan.used; i++) {
        if (is_site(side, i) && test(mirror, i, window))
            mirror->list[count++] = i;
    }
    return count;
}

/* Chain the rooms, countries and sources of a side that `test` finds by their sites. */
static void chain_labels(struct mirror *mirror, const struct mirror_side *side, unsigned window,
                         is_in test)
{
    const struct scan_scope *scopes = side->scan.scopes;

    memset(mirror->lengths, 0, side->scan.used * sizeof(*mirror->lengths));
    for (uint32_t i = side->scan.used; i-- > 0;) {
        if (!scopes[i].generation || scopes[i].kind == PRESENCE_SITE || !test(mirror, i, window))
            continue;
        uint32_t site = scopes[i].site;
        mirror->chain[i] = mirror->lengths[site]++ ? mirror->heads[site] : NONE;
        mirror->heads[site] = i;
    }
}

/* ---- removing ----------------------------------------------------------------------------- */

static uint32_t chunk_of(uint32_t left)
{
    return left < CHANGES_FIELDS ? left : CHANGES_FIELDS;
}

static void remove_sites(struct changes *changes, unsigned window)
{
    struct mirror *mirror = changes->mirror;
    uint32_t left = list_sites(mirror, &mirror->written, window, is_removed);
    const uint32_t *index = mirror->list;
    char key[ENGINE_KEY_MAX];

    sites_key(changes, window, key);
    while (left > 0) {
        uint32_t chunk = chunk_of(left);
        begin(changes, "HDEL", key, chunk);
        for (uint32_t i = 0; i < chunk; i++)
            add_field(changes, &mirror->written, *index++);
        left -= chunk;
    }
}

/* Delete the keys of sites, which takes their labels as well. */
static void remove_keys(struct changes *changes, unsigned window)
{
    struct mirror *mirror = changes->mirror;
    uint32_t left = list_sites(mirror, &mirror->written, window, is_key_removed);
    const uint32_t *index = mirror->list;
    char key[ENGINE_KEY_MAX];

    while (left > 0) {
        uint32_t chunk = chunk_of(left);
        engine_request_begin(changes->request, 1 + chunk);
        engine_request_text(changes->request, "UNLINK");
        for (uint32_t i = 0; i < chunk; i++) {
            site_key(changes, &mirror->written, *index++, window, key);
            engine_request_text(changes->request, key);
        }
        left -= chunk;
    }
}

static void remove_labels(struct changes *changes, unsigned window)
{
    struct mirror *mirror = changes->mirror;
    const struct mirror_side *written = &mirror->written;
    char key[ENGINE_KEY_MAX];

    chain_labels(mirror, written, window, is_removed);
    for (uint32_t site = 0; site < written->scan.used; site++) {
        uint32_t left = mirror->lengths[site], index = mirror->heads[site];
        if (left == 0 || is_key_removed(mirror, site, window))
            continue;
        site_key(changes, written, site, window, key);
        while (left > 0) {
            uint32_t chunk = chunk_of(left);
            begin(changes, "HDEL", key, chunk);
            for (uint32_t i = 0; i < chunk; i++, index = mirror->chain[index])
                add_field(changes, written, index);
            left -= chunk;
        }
    }
}

/* ---- marks -------------------------------------------------------------------------------- */

#define MARKS 5

/* A mark's field, and its value: "" if it is not set. */
struct mark {
    const char *field;
    char value[24];
};

/* Format the marks, in a fixed order. */
static void format_marks(const struct mirror_marks *marks, struct mark ret[MARKS])
{
    static const char *const fields[MARKS] = {ENGINE_MARK_ROOMS, ENGINE_MARK_COUNTRIES,
                                              ENGINE_MARK_SOURCES, ENGINE_MARK_PARTIAL,
                                              ENGINE_MARK_QUIET};
    size_t length = 0;

    for (unsigned i = 0; i < MARKS; i++) {
        ret[i].field = fields[i];
        ret[i].value[0] = '\0';
    }
    for (unsigned kind = PRESENCE_ROOM; kind < SCAN_KINDS; kind++) {
        if (marks->unknown >> kind & 1)
            strcpy(ret[kind - 1].value, "1");
    }
    for (unsigned kind = 0; kind < SCAN_KINDS; kind++) {
        if (marks->partial >> kind & 1)
            ret[3].value[length++] = ENGINE_LETTERS[kind];
    }
    ret[3].value[length] = '\0';
    if (marks->quiet)
        snprintf(ret[4].value, sizeof(ret[4].value), "%lld", (long long)marks->quiet);
}

/* Write the marks of a site that have changed, in its key. */
static void change_marks(struct changes *changes, uint32_t site, unsigned window, const char *key)
{
    const struct mirror *mirror = changes->mirror;
    struct mirror_marks next = mirror_marks_of(&mirror->next, site, window), written = {0};
    struct mark now[MARKS], before[MARKS];
    bool is_new = changes->anew || is_key_new(mirror, site, window);

    if (!is_new)
        written = mirror_marks_of(&mirror->written, site, window);
    format_marks(&next, now);
    format_marks(&written, before);
    for (unsigned i = 0; i < MARKS; i++) {
        if (strcmp(now[i].value, before[i].value) == 0)
            continue;
        begin(changes, now[i].value[0] ? "HSET" : "HDEL", key, now[i].value[0] ? 2 : 1);
        engine_request_text(changes->request, now[i].field);
        if (now[i].value[0])
            engine_request_text(changes->request, now[i].value);
    }
}

static bool are_same_marks(const struct mirror *mirror, uint32_t site, unsigned window)
{
    const struct mirror_marks next = mirror_marks_of(&mirror->next, site, window),
                              written = mirror_marks_of(&mirror->written, site, window);

    return next.unknown == written.unknown && next.partial == written.partial &&
           next.quiet == written.quiet;
}

/* ---- setting ------------------------------------------------------------------------------ */

static void add_count(struct changes *changes, uint32_t index, unsigned window)
{
    add_field(changes, &changes->mirror->next, index);
    engine_request_integer(changes->request, changes->mirror->next.scan.counts[window][index]);
}

static void set_sites(struct changes *changes, unsigned window)
{
    struct mirror *mirror = changes->mirror;
    uint32_t left =
        list_sites(mirror, &mirror->next, window, changes->anew ? is_there : is_changed);
    const uint32_t *index = mirror->list;
    char key[ENGINE_KEY_MAX];

    sites_key(changes, window, key);
    if (changes->anew)
        begin_key(changes, key);
    while (left > 0 && may_go_on(changes)) {
        uint32_t chunk = chunk_of(left);
        begin(changes, "HSET", key, 2 * (size_t)chunk);
        for (uint32_t i = 0; i < chunk; i++)
            add_count(changes, *index++, window);
        left -= chunk;
    }
}

/* Write what has changed in a site's key; its labels that have are chained. */
static void set_site(struct changes *changes, uint32_t site, unsigned window)
{
    const struct mirror *mirror = changes->mirror;
    uint32_t left = mirror->lengths[site], index = mirror->heads[site];
    bool is_new = changes->anew || is_key_new(mirror, site, window);
    char key[ENGINE_KEY_MAX];

    if (left == 0 && !is_new && are_same_marks(mirror, site, window))
        return;
    site_key(changes, &mirror->next, site, window, key);
    if (is_new)
        begin_key(changes, key);
    change_marks(changes, site, window, key);
    while (left > 0 && may_go_on(changes)) {
        uint32_t chunk = chunk_of(left);
        begin(changes, "HSET", key, 2 * (size_t)chunk);
        for (uint32_t i = 0; i < chunk; i++, index = mirror->chain[index])
            add_count(changes, index, window);
        left -= chunk;
    }
}

static void set_labels(struct changes *changes, unsigned window)
{
    struct mirror *mirror = changes->mirror;
    const struct mirror_side *next = &mirror->next;

    chain_labels(mirror, next, window, changes->anew ? is_there : is_changed);
    for (uint32_t site = 0; site < next->scan.used && may_go_on(changes); site++) {
        if (is_site(next, site) && mirror_has_key(next, site, window))
            set_site(changes, site, window);
    }
}

/* All that goes is removed first: a name may have moved to another entry. */
int changes_add(struct changes *changes)
{
    const unsigned windows = changes->mirror->next.scan.windows.count;

    for (unsigned i = 0; i < windows && !changes->anew; i++) {
        remove_sites(changes, i);
        remove_keys(changes, i);
        remove_labels(changes, i);
    }
    for (unsigned i = 0; i < windows && may_go_on(changes); i++) {
        set_sites(changes, i);
        set_labels(changes, i);
    }
    return changes->error;
}

/* ---- keys --------------------------------------------------------------------------------- */

static void add_check(struct changes *changes, const char *key)
{
    engine_request_add(changes->request, "HEXISTS", key, ENGINE_MARK_EPOCH, NULL);
}

/* Renew a key, and ask whether it is the one that we began: without the epoch it was deleted, and
 * begun again by a count that changed. */
static void add_renewal(struct changes *changes, const char *key)
{
    add_check(changes, key);
    add_expiry(changes, key);
}

void changes_add_renewals(struct changes *changes, unsigned first, unsigned count)
{
    const struct mirror_side *written = &changes->mirror->written;
    char key[ENGINE_KEY_MAX];

    for (unsigned window = 0; window < written->scan.windows.count; window++) {
        sites_key(changes, window, key);
        add_renewal(changes, key);
        for (unsigned i = 0; i < count && i < CHANGES_SLOTS; i++) {
            for (uint32_t site = (first + i) % CHANGES_SLOTS; site < written->scan.used;
                 site += CHANGES_SLOTS) {
                if (!is_site(written, site) || !mirror_has_key(written, site, window))
                    continue;
                site_key(changes, written, site, window, key);
                add_renewal(changes, key);
            }
        }
    }
}

void changes_add_inventory(struct changes *changes)
{
    const struct mirror_side *written = &changes->mirror->written;
    char key[ENGINE_KEY_MAX];

    for (unsigned window = 0; window < written->scan.windows.count; window++) {
        sites_key(changes, window, key);
        add_check(changes, key);
        for (uint32_t site = 0; site < written->scan.used; site++) {
            if (!is_site(written, site) || !mirror_has_key(written, site, window))
                continue;
            site_key(changes, written, site, window, key);
            add_check(changes, key);
        }
    }
}
