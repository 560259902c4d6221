#include "config.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "common/trust.h"
#include "core/wire.h"
#include "receive/receive_options.h"

#define WORKERS_DEFAULT_MAX 4
#define PATH_BYTES_MAX      4095

static int add_site(void *value, const char *text)
{
    return sites_add(value, text);
}

static const char *const xdp_modes[] = {
    [XDP_AUTO] = "auto",
    [XDP_NATIVE] = "native",
    [XDP_GENERIC] = "generic",
    NULL,
};

static const struct option_entry entries[] = {
    OPTION_LISTEN(
        struct config, endpoints,
        .details = RECEIVE_LISTEN_DETAILS
        " See ADDRESSES AND WORKERS. Never send an ordinary access log here: a Referer, a "
        "path or another text that clients choose could hold a heartbeat."),
    OPTION_SEGMENT(struct config, segment, .max = PATH_BYTES_MAX,
                   .details = "Its directory is made with mode 0750 if it is missing; the one "
                              "above has to exist. See THE SEGMENT."),
    {"max-entries", OPTION_UINT64(struct config, settings.max_entries), .min = 1,
     .max = SEGMENT_ENTRIES_MAX, .argument = "N", .fallback = "1000000",
     .help = "entries in the table: one is a visitor in one scope, and a visitor with site, room, "
             "country and source takes four",
     .details = "An entry takes 8 bytes, at three quarters full. Its slot is kept for some "
                "minutes after the longest window has passed, in case the visitor comes back; "
                "where the table is full it is reused as soon as no window counts it. presencectl "
                "status shows the slots in use."},
    {"max-scopes", OPTION_UINT32(struct config, settings.max_scopes), .min = 1,
     .max = SEGMENT_SCOPES_MAX, .argument = "N", .fallback = "16384",
     .help = "sites, rooms, countries and sources",
     .details = "A scope takes 5 KB. One without a heartbeat for longer than the longest window "
                "is reused."},
    {"max-window", OPTION_UINT32(struct config, settings.max_window), .min = 1, .max = WINDOW_MAX,
     .argument = "SECONDS", .fallback = "3600",
     .help = "the longest window that readers can ask "
             "for",
     .details = "1 to 3600."},
    {"warm-up", OPTION_UINT32(struct config, settings.warm_up), .max = WINDOW_MAX,
     .argument = "SECONDS", .fallback = "90",
     .help = "how long counts are marked as lower bounds after a start or a gap of over 10 s",
     .details = "The default is one and a half heartbeats of a minute."},
    {"max-histories", OPTION_UINT32(struct config, settings.max_histories),
     .max = SEGMENT_HISTORIES_MAX, .argument = "N", .fallback = "1024",
     .help = "scopes whose last 24 hours are kept: sites, then the busiest rooms; 0 keeps none",
     .details = "A history has a record for each minute and takes 72 KB. Every site gets one while "
                "there are any, if need be that of a room; histories_full counts the sites that "
                "got none. The rest go to rooms, countries and sources as they come; once all are "
                "in use, the busiest get those of the least busy. A history is kept for 24 hours "
                "after its scope's last heartbeat."},
    {"events", OPTION_UINT32(struct config, settings.max_events), .max = EVENTS_MAX,
     .argument = "N", .fallback = "16384",
     .help = "events that are kept: entered, left, pageviews and custom ones; 0 keeps none",
     .details = "An event takes 900 bytes; N is rounded up to a power of two of at least 64. In "
                "one second, a site writes at most a 64th of them. While several sites would fill "
                "them within ten minutes, each may write less, but always one, so that events of "
                "quiet sites stay for about five minutes. Events beyond are dropped and counted as "
                "events_thinned."},
    {"max-streams", OPTION_UINT32(struct config, settings.max_streams), .max = SEGMENT_STREAMS_MAX,
     .argument = "N", .fallback = "1024",
     .help = "streams of senders whose losses are known; 0 keeps none",
     .details = "A sender of version 2 has one stream to each of its targets, which takes 256 "
                "bytes here. A new one replaces the one that has been silent longest, if that is "
                "over a minute. Otherwise its datagrams count, but its losses are not known, and a "
                "replayed datagram counts again: streams_full counts them all."},
    {"workers", OPTION_UINT32(struct config, endpoints.workers), .min = 1,
     .max = SEGMENT_WORKERS_MAX, .argument = "N",
     .help = "receiving threads; half of the processors by default, at most 4", .example = "4",
     .details = "1 to 64; see ADDRESSES AND WORKERS."},
    OPTION_RECEIVE(struct config, engine,
                   .details = "With auto, io_uring is used if the kernel allows it; if not, the "
                              "log and presencectl status say why."),
    {"site", OPTION_PARSED(struct config, sites, add_site), .repeatable = true, .argument = "NAME",
     .expected = "a site's name of at most 253 bytes", .example = "example.com",
     .help = "count only this site",
     .details = "ASCII letters match in either case. Heartbeats of other sites are rejected as "
                "datagrams_rejected_site."},
    {"max-rooms-per-site", OPTION_UINT32(struct config, max_rooms_per_site), .min = 1,
     .max = SEGMENT_SCOPES_MAX, .argument = "N", .example = "2000",
     .help = "limit the rooms of a site, and its sources",
     .details = "It keeps one site from taking the directory from the others. A heartbeat beyond "
                "still counts for its site (site_rooms_full, site_sources_full)."},
    OPTION_ALLOW(struct config, allow,
                 .details = "Others are rejected as datagrams_rejected_sender."),
    {"sender-rate", OPTION_UINT32(struct config, sender_rate), .min = 1, .max = BUDGET_LIMIT_MAX,
     .argument = "N", .example = "100000", .help = "limit the datagrams of a sender in a second",
     .details = "A sender is an IPv4 address, or the first 64 bits of an IPv6 one. Datagrams "
                "beyond are rejected as datagrams_rejected_sender and also counted as "
                "sender_rate_exceeded. An edge that sends for all visitors needs a generous "
                "limit."},
    {"sender-new", OPTION_UINT32(struct config, sender_new), .min = 1, .max = BUDGET_LIMIT_MAX,
     .argument = "N", .example = "50000",
     .help =
         "limit the new visitors of a sender in a second, in sites and again in rooms, countries "
         "and sources",
     .details = "It keeps one edge from filling the table. Visitors who are in the table cost "
                "nothing. Those beyond are not counted (sender_new_exceeded, and "
                "label_sender_new_exceeded in rooms, countries and sources)."},
    {"keys", OPTION_TEXT(struct config, keys), .max = PATH_BYTES_MAX, .argument = "FILE",
     .expected = "the path of a file of keys", .example = "/etc/presence/keys",
     .help = "accept only heartbeats that are signed with a key of this file",
     .details = "See KEYS."},
    {"xdp", OPTION_TEXT(struct config, xdp), .max = IF_NAMESIZE - 1, .argument = "INTERFACE",
     .expected = "the name of a network interface", .example = "eth0",
     .help = "drop datagrams that would be rejected there, in the kernel",
     .details = "See FILTER."},
    {"xdp-mode", OPTION_WORD(struct config, xdp_mode, xdp_modes), .argument = "MODE",
     .fallback = "auto", .help = "where the filter runs: auto, native or generic",
     .details = "native runs in the interface's driver, before the kernel has spent anything on a "
                "packet; generic runs on every Ethernet interface and costs more. With either, the "
                "collector ends if it cannot attach the filter. auto tries native, then generic, "
                "then goes on without and logs why."},
    {"give-to", OPTION_TEXT(struct config, give_to), .max = TRUST_NAME_SIZE, .argument = "USER",
     .expected = "the name of a user", .line_only = true,
     .help = "give the segment to this user and end; needs root",
     .details = "The directory is made if it is missing. What belongs to root is given, what "
                "belongs to somebody else is moved aside. The unit does this before it starts the "
                "collector as the user presence, so that the counts of one that ran as root are "
                "kept."},
    {OPTION_RENAMED("max-visitors", "max-entries")},
    {OPTION_RENAMED("source-rate", "sender-rate")},
    {OPTION_RENAMED("source-new", "sender-new")},
};

const struct option_table options_table = {
    .program = "presenced",
    .purpose = "Count the visitors that heartbeats report, in shared memory.",
    .read_file = options_read_file,
    OPTION_ENTRIES(entries),
};

static uint32_t default_workers(void)
{
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    if (half < 1)
        return 1;
    return half > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (uint32_t)half;
}

/* Round a number of events up to one that the ring can have. */
static uint32_t round_events(uint32_t events)
{
    uint32_t slots = EVENTS_MIN;

    while (slots < events)
        slots *= 2;
    return events ? slots : 0;
}

enum option_verdict config_parse(int argc, char **argv, struct config *ret)
{
    struct option_use use;

    *ret = (struct config){.endpoints.workers = default_workers()};
    enum option_verdict verdict = options_parse(&options_table, argc, argv, ret, &use);
    if (verdict != OPTION_RUN) {
        sites_free(&ret->sites);
        network_list_free(&ret->allow);
    } else {
        ret->settings.max_events = round_events(ret->settings.max_events);
    }
    return verdict;
}

void config_free(struct config *config)
{
    sites_free(&config->sites);
    network_list_free(&config->allow);
    options_free(&options_table, config);
}
