/* check.c - compare the collector's segment with the oracle. */
#include <string.h>

#include "core/ring_sum.h"
#include "core/scope_name.h"
#include "scenario.h"

#define RANDOM_WINDOWS  6
#define WINDOWS_IN_VIEW 24

static const char *const place_names[PLACES] = {"site", "room", "country", "source"};

static const struct segment *segment_of(const struct scenario *scenario)
{
    return &scenario->fixture->collector.file.segment;
}

static void lower_case(uint8_t *ret, const struct name *name)
{
    for (unsigned i = 0; i < name->length; i++)
        ret[i] = name->bytes[i] >= 'A' && name->bytes[i] <= 'Z' ? name->bytes[i] + 'a' - 'A'
                                                                : name->bytes[i];
}

/* Find a scope by its names, as a reader does, and return its index or SCOPE_NONE. */
static uint32_t find_scope(const struct scenario *scenario, const struct oracle_scope *scope)
{
    const struct segment *segment = segment_of(scenario);
    const struct name *site = &scenario->names.names[PLACE_SITE][scope->site];
    uint8_t bytes[255];
    uint64_t state;

    lower_case(bytes, site);
    struct scope_name site_name = scope_name_site(segment->header->secret, bytes, site->length);
    uint32_t found = scope_find(&segment->directory, &site_name, &state);
    if (found == SCOPE_NONE || scope->place == PLACE_SITE)
        return found;
    const struct name *label = &scenario->names.names[scope->place][scope->name];
    struct scope_name name = scope_name_label(&site_name, found, (enum scope_kind)scope->place,
                                              label->bytes, label->length);
    return scope_find(&segment->directory, &name, &state);
}

static int shown(const struct name *name)
{
    return name->length < 40 ? name->length : 40;
}

static void check_window(struct scenario *scenario, const struct oracle_scope *scope,
                         uint32_t found, unsigned window)
{
    unsigned least, most;
    int64_t counted = 0;

    oracle_count(&scenario->oracle, scope, scenario->tick, window, &least, &most);
    if (found != SCOPE_NONE)
        counted = ring_count(&segment_of(scenario)->directory.rings[found], scenario->tick, window);
    if (counted >= least && counted <= most)
        return;
    const struct name *site = &scenario->names.names[PLACE_SITE][scope->site];
    const struct name *name = &scenario->names.names[scope->place][scope->name];
    scenario_fail(scenario, "%s '%.*s' of '%.*s' (entry %d), window %u: counted %lld, not %u to %u",
                  place_names[scope->place], shown(name), (const char *)name->bytes, shown(site),
                  (const char *)site->bytes, (int)found, window, (long long)counted, least, most);
}

/* Check that a scope with a heartbeat within the longest window exists, and its last heartbeat. */
static void check_entry(struct scenario *scenario, const struct oracle_scope *scope, uint32_t found)
{
    if (found == SCOPE_NONE) {
        if (!oracle_is_idle(&scenario->oracle, scope, scenario->tick))
            scenario_fail(scenario, "%s %d of site %d is not found", place_names[scope->place],
                          scope->name, scope->site);
        return;
    }
    uint64_t last = segment_of(scenario)->directory.entries[found].last_heartbeat;
    if (last != scope->last_heartbeat)
        scenario_fail(scenario, "%s %d of site %d: last heartbeat at %llu, not %llu",
                      place_names[scope->place], scope->name, scope->site, (unsigned long long)last,
                      (unsigned long long)scope->last_heartbeat);
}

static unsigned choose_windows(struct scenario *scenario, unsigned windows[WINDOWS_IN_VIEW])
{
    static const unsigned always[] = {1,   2,   59,  60,  299,  300,  479,  480, 481,
                                      500, 539, 540, 541, 3540, 3541, 3599, 3600};
    unsigned longest = scenario->oracle.longest, count = 0;

    for (unsigned i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (always[i] <= longest)
            windows[count++] = always[i];
    for (unsigned i = 0; i < RANDOM_WINDOWS; i++)
        windows[count++] = random_between(&scenario->random, 1, longest);
    return count;
}

static void check_counts(struct scenario *scenario)
{
    unsigned windows[WINDOWS_IN_VIEW];
    unsigned count = choose_windows(scenario, windows);

    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        if (!scope->is_known)
            continue;
        uint32_t found = find_scope(scenario, scope);
        check_entry(scenario, scope, found);
        for (unsigned w = 0; w < count; w++)
            check_window(scenario, scope, found, windows[w]);
    }
}

static void check_counter(struct scenario *scenario, const char *name, enum counter counter,
                          uint64_t least, uint64_t most)
{
    uint64_t counted = fixture_counter(scenario->fixture, counter);

    if (counted < least || counted > most)
        scenario_fail(scenario, "counter %s is %llu, not %llu to %llu", name,
                      (unsigned long long)counted, (unsigned long long)least,
                      (unsigned long long)most);
}

static void check_counters(struct scenario *scenario)
{
    const struct oracle_counters *counters = &scenario->oracle.counters;
    const struct oracle_stream_counters *streams = &scenario->oracle.streams.counters;
    const struct {
        const char *name;
        enum counter counter;
        uint64_t least, slack;
    } expected[] = {
        {"received", COUNTER_datagrams_received, counters->received, 0},
        {"accepted", COUNTER_datagrams_accepted, counters->accepted, 0},
        {"empty", COUNTER_datagrams_empty, counters->empty, 0},
        {"rejected_sender", COUNTER_datagrams_rejected_sender, counters->sender, 0},
        {"rejected_version", COUNTER_datagrams_rejected_version, counters->version, 0},
        {"rejected_malformed", COUNTER_datagrams_rejected_malformed, counters->malformed, 0},
        {"rejected_visitor", COUNTER_datagrams_rejected_visitor, counters->visitor, 0},
        {"rejected_unauthenticated", COUNTER_datagrams_rejected_unauthenticated,
         counters->unauthenticated, 0},
        {"rejected_stale", COUNTER_datagrams_rejected_stale, counters->stale, 0},
        {"rejected_site", COUNTER_datagrams_rejected_site, counters->site, 0},
        {"rejected_duplicate", COUNTER_datagrams_rejected_duplicate, counters->duplicate, 0},
        {"site_refused", COUNTER_site_refused, counters->site_refused, 0},
        {"streams_expected", COUNTER_streams_expected, streams->expected, 0},
        {"streams_received", COUNTER_streams_received, streams->received, 0},
        {"streams_full", COUNTER_streams_full, streams->full, 0},
        {"new", COUNTER_heartbeats_new, counters->entered, counters->unsure},
        {"refreshed", COUNTER_heartbeats_refreshed, counters->refreshed, counters->unsure},
        {"left", COUNTER_heartbeats_left, counters->left, 0},
        {"table_full", COUNTER_table_full, counters->table_full, 0},
        {"scopes_full", COUNTER_scopes_full, counters->scopes_full, 0},
        {"label_table_full", COUNTER_label_table_full, counters->label_table_full, 0},
        {"label_scopes_full", COUNTER_label_scopes_full, counters->label_scopes_full, 0},
        {"label_invalid", COUNTER_label_invalid, counters->labels_invalid, 0},
        {"room_too_long", COUNTER_room_too_long, counters->rooms_too_long, 0},
        {"pageviews", COUNTER_pageviews, counters->pageviews, 0},
        {"custom_events", COUNTER_custom_events, counters->custom_events, 0},
    };
    for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        check_counter(scenario, expected[i].name, expected[i].counter, expected[i].least,
                      expected[i].least + expected[i].slack);

    uint64_t new_or_refreshed = fixture_counter(scenario->fixture, COUNTER_heartbeats_new) +
                                fixture_counter(scenario->fixture, COUNTER_heartbeats_refreshed);
    if (new_or_refreshed != counters->entered + counters->refreshed + counters->unsure)
        scenario_fail(
            scenario, "new + refreshed is %llu, not %llu", (unsigned long long)new_or_refreshed,
            (unsigned long long)(counters->entered + counters->refreshed + counters->unsure));
    if (!scenario->variant->table_may_fill && counters->table_full + counters->label_table_full)
        scenario_fail(scenario, "the table refused somebody");
    if (!scenario->variant->directory_may_fill &&
        counters->scopes_full + counters->label_scopes_full)
        scenario_fail(scenario, "the directory has fewer entries than the variant needs");
}

void check_step(struct scenario *scenario)
{
    const struct segment_header *header = segment_of(scenario)->header;

    if (collector_tick(&scenario->fixture->collector) != scenario->tick)
        scenario_fail(scenario, "the published tick is %llu",
                      (unsigned long long)collector_tick(&scenario->fixture->collector));
    if (header->listening_since != scenario->listening_since)
        scenario_fail(scenario, "listening since %llu, not %llu",
                      (unsigned long long)header->listening_since,
                      (unsigned long long)scenario->listening_since);
    check_counters(scenario);
    check_counts(scenario);
}

/* Check that the words that can still be counted are those that the oracle holds, no more, no
 * fewer. */
static void check_words(struct scenario *scenario)
{
    const struct segment *segment = segment_of(scenario);
    const struct oracle *oracle = &scenario->oracle;
    unsigned held = oracle->longest; /* older ones may have been evicted */
    uint64_t words = 0, least = 0, most = 0;

    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++) {
        uint64_t word = segment->table.words[i];
        words += word && ((scenario->tick - word) & 0xfffff) < held;
    }
    for (unsigned i = 0; i < oracle->scope_count; i++) {
        for (unsigned v = 0; v < oracle->visitors; v++) {
            const struct oracle_presence *presence = &oracle->scopes[i].visitors[v];
            if (presence->last == ORACLE_ABSENT || scenario->tick - presence->last >= held)
                continue;
            most++;
            least += !presence->unsure;
        }
    }
    if (words < least || words > most)
        scenario_fail(scenario, "the table holds %llu words, not %llu to %llu",
                      (unsigned long long)words, (unsigned long long)least,
                      (unsigned long long)most);
}

/* Check that created less retired scopes are those in use. */
static void check_directory(struct scenario *scenario)
{
    const struct directory *directory = &segment_of(scenario)->directory;
    uint64_t in_use = 0;

    for (uint32_t i = 0; i < directory->capacity; i++)
        in_use += scope_state_of(directory->entries[i].state) != SCOPE_FREE;
    if (fixture_counter(scenario->fixture, COUNTER_scopes_created) -
            fixture_counter(scenario->fixture, COUNTER_scopes_retired) !=
        in_use)
        scenario_fail(scenario, "%llu scopes are in use: not those created less those retired",
                      (unsigned long long)in_use);
}

void check_thoroughly(struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        if (!scope->is_known)
            continue;
        uint32_t found = find_scope(scenario, scope);
        for (unsigned window = 1; window <= scenario->oracle.longest; window++)
            check_window(scenario, scope, found, window);
    }
    check_words(scenario);
    check_directory(scenario);
}
