/* options.c - the command line of presencectl. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "common/time_text.h"
#include "presencectl.h"

#define BIT(command) (UINT32_C(1) << (command))

/* Commands about a place: a site, or a room, a country or a source of it. */
#define PLACE_COMMANDS \
    (BIT(COMMAND_COUNT) | BIT(COMMAND_PEAK) | BIT(COMMAND_HISTORY) | BIT(COMMAND_EXPLAIN))

static const char *const kind_names[] = {
    [PRESENCE_SITE] = "site",     [PRESENCE_ROOM] = "room",     [PRESENCE_COUNTRY] = "country",
    [PRESENCE_SOURCE] = "source", [PRESENCE_SOURCE + 1] = NULL,
};

const char *kind_name(enum presence_kind kind)
{
    return kind_names[kind];
}

const char *kind_plural(enum presence_kind kind)
{
    static const char *const names[] = {
        [PRESENCE_SITE] = "sites",
        [PRESENCE_ROOM] = "rooms",
        [PRESENCE_COUNTRY] = "countries",
        [PRESENCE_SOURCE] = "sources",
    };

    return names[kind];
}

/* ---- values ------------------------------------------------------------------------------ */

/* Check for two letters, and make them capitals. */
static int check_country(char *value)
{
    for (unsigned i = 0; i < 2; i++) {
        value[i] = (char)(value[i] & ~0x20);
        if (value[i] < 'A' || value[i] > 'Z')
            return -EINVAL;
    }
    return value[2] ? -EINVAL : 0;
}

static int parse_since(void *value, const char *text)
{
    struct since *since = value;
    struct timespec now;
    size_t digits = strspn(text, "0123456789");
    int64_t time_us;
    uint64_t number;
    bool is_duration = duration_parse(text, &number) == 0;

    clock_gettime(CLOCK_REALTIME, &now);
    if (is_duration && !text[digits])
        *since = (struct since){.kind = SINCE_NUMBER, .number = number};
    else if (is_duration && number > 0 && number <= UINT32_MAX)
        *since = (struct since){.kind = SINCE_TIME,
                                .time_us = (now.tv_sec - (int64_t)number) * INT64_C(1000000) +
                                           now.tv_nsec / 1000};
    else if (time_parse(text, &time_us) == 0)
        *since = (struct since){.kind = SINCE_TIME, .time_us = time_us};
    else
        return -EINVAL;
    return 0;
}

static int parse_step(void *value, const char *text)
{
    uint32_t *step_s = value;
    uint64_t seconds;

    if (duration_parse(text, &seconds) < 0 || seconds == 0 || seconds % 60 || seconds > UINT32_MAX)
        return -EINVAL;
    *step_s = (uint32_t)seconds;
    return 0;
}

int64_t since_seconds(const struct since *since, uint32_t otherwise_s, int64_t now)
{
    switch (since->kind) {
    case SINCE_TIME:
        return since->time_us / 1000000;
    case SINCE_NUMBER:
        return since->number < (uint64_t)now ? now - (int64_t)since->number : 0;
    case SINCE_NONE:
        break;
    }
    return now - otherwise_s;
}

/* Commands that can be of all collectors. */
#define GROUP_COMMANDS                                                                  \
    (BIT(COMMAND_COUNT) | BIT(COMMAND_TOP) | BIT(COMMAND_SITES) | BIT(COMMAND_STATUS) | \
     BIT(COMMAND_PEAK) | BIT(COMMAND_HISTORY) | BIT(COMMAND_FORGET))

/* ---- the table --------------------------------------------------------------------------- */

static const struct option_command commands[] = {
    [COMMAND_COUNT] = {"count", "SITE [ROOM]",
                       "how many visitors are on a site, or in one of its rooms",
                       "Prints the number alone.", 1, 2},
    [COMMAND_TOP] = {"top", "SITE", "a site's busiest rooms, countries or sources",
                     "The busiest come first. Those with nobody left in the window are not\n"
                     "listed, unless --all is given or visitors of theirs could not be counted.",
                     1, 1},
    [COMMAND_SITES] = {"sites", "", "all sites and their visitors",
                       "The busiest come first. A site without visitors is listed while it had a\n"
                       "heartbeat within the longest window.",
                       0, 0},
    [COMMAND_PEAK] = {"peak", "SITE [ROOM]", "the highest number of visitors, today and ever",
                      "Today is a day of UTC. The peaks that presence-recorder has stored\n"
                      "count, too. The collector samples the default window, 5 minutes: there\n"
                      "is no peak of another, and no --window.",
                      1, 2},
    [COMMAND_HISTORY] = {"history", "SITE [ROOM]", "the number over the last hours or days",
                         "Draws a graph. The collector keeps 24 hours, of sites and of the\n"
                         "busiest rooms, countries and sources; presence-recorder stores them\n"
                         "for good. It says what is not recorded of the time. Times are UTC. The\n"
                         "numbers are of the default window, 5 minutes: there is no --window.",
                         1, 2},
    [COMMAND_EVENTS] = {"events", "[SITE]",
                        "events: each enter, leave and page view (never by whom)",
                        "Prints the last events that the collector holds, or the first ones\n"
                        "from --since on: a time, or the sequence number that the JSON calls\n"
                        "next. Silent departures are no events.",
                        0, 1},
    [COMMAND_WATCH] = {"watch", "SITE", "a site live, on the whole screen",
                       "Shows the count, the last hour, the busiest rooms and the latest\n"
                       "events, and updates them each second. r, c and s list rooms,\n"
                       "countries and sources, q quits. If stdout is no terminal, it prints\n"
                       "a line a second. The numbers are of the default window, 5 minutes:\n"
                       "there is no --window.",
                       1, 1},
    [COMMAND_EXPLAIN] = {"explain", "SITE [ROOM]",
                         "the number with the rules that made it, in words",
                         "It explains the number of the default window, 5 minutes: there is no\n"
                         "--window.",
                         1, 2},
    [COMMAND_SEEN] = {"seen", "SITE ID", "how long ago a visitor was last seen on a site",
                      "Prints the age of the visitor's last heartbeat; --json has its seconds.\n"
                      "ID is a UUID or any other id, as the edge sends it; only its hash is\n"
                      "looked up, and it is never printed.",
                      2, 2},
    [COMMAND_SENDERS] = {"senders", "", "who sends heartbeats: alive or silent, and what was lost",
                         "Lists the senders of version 2, which number their datagrams, the last\n"
                         "heard first. Each sends a datagram a second even while nobody is there:\n"
                         "a sender that was not heard for over 3 seconds is silent.",
                         0, 0},
    [COMMAND_STATS] = {"stats", "", "what the collector has received, counted and dropped",
                       "Prints all counters, also those that are 0.", 0, 0},
    [COMMAND_STATUS] = {"status", "", "the state of the collector, and how full its tables are", "",
                        0, 0},
    [COMMAND_VERIFY] = {"verify", "", "whether the visitor table agrees with the counts",
                        "Compares, tick by tick, the visitors in the table with the buckets\n"
                        "that all counts are sums of. Heartbeats that arrive meanwhile may\n"
                        "explain a difference; anything more exits 1.",
                        0, 0},
    [COMMAND_FORGET] = {"forget", "GROUP", "remove a group that nobody publishes from an engine",
                        "Removes a group that is not published any more from Redis or Valkey,\n"
                        "which would forget it by itself after two hours. Refuses while a\n"
                        "presence-publisher writes one of its shards. Needs --engine.",
                        1, 1},
};

static const struct option_entry entries[] = {
    {"window", OPTION_DURATION(struct options, window_s), .min = 1, .max = UINT32_MAX,
     .argument = "5m", .expected = "a duration of at least a second, such as 90, 90s, 5m or 1h",
     .help = "count the visitors of so many seconds (90 or 90s), minutes (5m) or hours (1h)",
     .details = "From 1 second to the longest window of the collector. Above 480 seconds it is "
                "rounded up to whole minutes. Default: 300 seconds, or the longest window if that "
                "is shorter. With --engine it must be one that each presence-publisher publishes; "
                "the default is 300 seconds, or the longest of these.",
     .suggestions = "1m 5m 10m 30m 1h",
     .commands = BIT(COMMAND_COUNT) | BIT(COMMAND_TOP) | BIT(COMMAND_SITES),
     .elsewhere = "its numbers are always those of the default window"},
    {"country", OPTION_TEXT(struct options, country), .check = check_country, .argument = "CC",
     .expected = "two letters, such as DE",
     .help = "of a site, count only the visitors from a country, such as DE",
     .details = "Not together with a room.", .commands = PLACE_COMMANDS},
    {"source", OPTION_TEXT(struct options, source), .argument = "NAME",
     .help = "of a site, count only the visitors who came from a source",
     .details = "Not together with a room.", .commands = PLACE_COMMANDS},
    {"by", OPTION_WORD(struct options, by, kind_names), .min = PRESENCE_ROOM, .argument = "KIND",
     .help = "list by room, country or source", .fallback = "room",
     .commands = BIT(COMMAND_TOP) | BIT(COMMAND_WATCH)},
    {"limit", OPTION_UINT64(struct options, limit), .max = SIZE_MAX, .argument = "N",
     .expected = "a whole number, 0 for all",
     .help = "print at most N lines, 0 for all; default 20 for top, 500 for events",
     .details = "With --follow and without --since, N past events come first.",
     .commands =
         BIT(COMMAND_TOP) | BIT(COMMAND_SITES) | BIT(COMMAND_EVENTS) | BIT(COMMAND_SENDERS)},
    {"all", OPTION_FLAG(struct options, all),
     .help = "list rooms, countries and sources with nobody left in the window, too",
     .details =
         "Those without a heartbeat within the longest window are never listed. stats prints "
         "all counters in any case.",
     .commands = BIT(COMMAND_TOP) | BIT(COMMAND_WATCH) | BIT(COMMAND_STATS)},
    {"since", OPTION_PARSED(struct options, since, parse_since), .argument = "6h",
     .expected = "a duration (s, m, h, d or w), a time such as 2026-01-31T12:00, or a number",
     .help = "start so long ago (s, m, h, d, w), at 2026-01-31T12:00, or for events at a sequence "
             "number",
     .details = "Times are 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00:00.5Z, in UTC, or have "
                "an offset, as 2026-01-31T17:30+05:30. A number alone is seconds for history "
                "(default: 6h) and watch (default: 1h, at most 24h), and for events a sequence "
                "number: from the JSON's next on, nothing is missing or printed again. 0 is the "
                "oldest event that the collector holds.",
     .suggestions = "10m 1h 6h 1d 1w",
     .commands = BIT(COMMAND_HISTORY) | BIT(COMMAND_EVENTS) | BIT(COMMAND_WATCH)},
    {"step", OPTION_PARSED(struct options, step_s, parse_step), .argument = "10m",
     .expected = "whole minutes, such as 10m, 1h or 1d",
     .help = "sum up so much time in a line; default 1m for CSV and JSON",
     .details = "For --table, the default is the shortest step that makes at most 60 lines, and "
                "for a graph of more than two days, the shortest that makes at most 2880 steps. "
                "Long times need memory for their steps only.",
     .suggestions = "1m 5m 10m 1h 1d", .commands = BIT(COMMAND_HISTORY)},
    {"table", OPTION_FLAG(struct options, table), .help = "print a table",
     .commands = BIT(COMMAND_HISTORY)},
    {"csv", OPTION_FLAG(struct options, csv), .help = "print comma-separated values",
     .details = "They conform to RFC 4180 and begin with a line of names. A name that a "
                "spreadsheet would read as a formula gets an apostrophe before it.",
     .commands = BIT(COMMAND_TOP) | BIT(COMMAND_SITES) | BIT(COMMAND_HISTORY) |
                 BIT(COMMAND_EVENTS) | BIT(COMMAND_SENDERS)},
    {"names", OPTION_FLAG(struct options, names), .help = "print the names alone, one a line",
     .details = "For scripts; shells' completions use it. Names with characters that are "
                "not printable are left out.",
     .commands = BIT(COMMAND_TOP) | BIT(COMMAND_SITES)},
    {"follow", OPTION_FLAG(struct options, follow),
     .help = "print new events as they come, until it is interrupted",
     .commands = BIT(COMMAND_EVENTS)},
    {"database", OPTION_TEXT(struct options, database), .argument = "PATH",
     .help = "the database of presence-recorder; default " ARCHIVE_DEFAULT_PATH " if it exists",
     .details = "Where there is no segment, or the engine cannot be used, the commands print the "
                "database alone, say so, and "
                "exit 3. With --engine it is that of presence-recorder with --engine.",
     .variable = "PRESENCE_DATABASE", .commands = BIT(COMMAND_HISTORY) | BIT(COMMAND_PEAK)},
    {"json", OPTION_FLAG(struct options, json), .help = "print one JSON object",
     .details =
         "It is one line; events with --follow and watch print a line for each event or second."},
    OPTION_SEGMENT(struct options, segment),
    OPTION_ENGINE(struct options, engine, .commands = GROUP_COMMANDS, .elsewhere = ONE_COLLECTOR),
};

const struct option_table options_table = {
    .program = "presencectl",
    .usage = "presencectl [OPTION...] COMMAND [ARGUMENT...]",
    .purpose = "Read live presence counts from the collector's shared memory, or with\n"
               "--engine those of many collectors from Redis or Valkey.",
    .notes = "Exit status: 0 fine, 1 failure, 2 wrong usage, 3 the number is stale, or the\n"
             "collector is starting, 4 no such site, room or visitor within the longest window.\n",
    OPTION_ENTRIES(entries),
    OPTION_COMMANDS(commands),
    .read_file = options_read_file,
};
