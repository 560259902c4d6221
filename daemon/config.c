#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budget.h"
#include "listener.h"
#include "log.h"
#include "common/option_table.h"
#include "presence/presence.h"
#include "core/wire.h"

#define DEFAULT_VISITORS    1000000
#define DEFAULT_SCOPES      16384
#define DEFAULT_HISTORIES   1024  /* 74 MB */
#define DEFAULT_EVENTS      16384 /* 15 MB */
#define DEFAULT_WARM_UP     90    /* one and a half heartbeats of a minute */
#define DEFAULT_WORKERS_MAX 4

static bool take_number(const char *name, const char *value, uint64_t least, uint64_t most,
                        uint64_t *ret)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (errno || *end || value[0] < '0' || value[0] > '9' || number < least || number > most) {
        log_line("--%s takes a whole number from %llu to %llu, not '%.100s'", name,
                 (unsigned long long)least, (unsigned long long)most, value);
        return false;
    }
    *ret = number;
    return true;
}

static bool take_listen(void *target, const char *name, const char *value)
{
    struct config *config = target;
    struct config_address address = {0};

    if (config->listen_count == CONFIG_LISTEN_MAX) {
        log_line("--%s can be given at most %d times", name, CONFIG_LISTEN_MAX);
        return false;
    }
    if (strlen(value) >= sizeof(address.text) ||
        listener_parse(value, &address.address, &address.length) < 0) {
        log_line("--%s takes a numeric address and port such as 127.0.0.1:9514 or [::1]:9514, not "
                 "'%.100s'",
                 name, value);
        return false;
    }
    strcpy(address.text, value);
    config->listen[config->listen_count++] = address;
    return true;
}

static bool take_segment(void *target, const char *name, const char *value)
{
    struct config *config = target;

    if (!*value || strlen(value) >= sizeof(config->segment)) {
        log_line("--%s takes the path of a file on a tmpfs, such as %s", name,
                 PRESENCE_DEFAULT_SEGMENT);
        return false;
    }
    strcpy(config->segment, value);
    return true;
}

static bool take_max_visitors(void *target, const char *name, const char *value)
{
    struct config *config = target;

    return take_number(name, value, 1, SEGMENT_VISITORS_MAX, &config->settings.max_visitors);
}

static bool take_max_scopes(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;

    if (!take_number(name, value, 1, SEGMENT_SCOPES_MAX, &number))
        return false;
    config->settings.max_scopes = (uint32_t)number;
    return true;
}

static bool take_max_window(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;

    if (!take_number(name, value, 1, WINDOW_MAX, &number))
        return false;
    config->settings.max_window = (uint32_t)number;
    return true;
}

static bool take_warm_up(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;

    if (!take_number(name, value, 0, WINDOW_MAX, &number))
        return false;
    config->settings.warm_up = (uint32_t)number;
    return true;
}

static bool take_max_histories(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;

    if (!take_number(name, value, 0, SEGMENT_HISTORIES_MAX, &number))
        return false;
    config->settings.max_histories = (uint32_t)number;
    return true;
}

static bool take_events(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;
    uint32_t slots = EVENTS_MIN;

    if (!take_number(name, value, 0, EVENTS_MAX, &number))
        return false;
    while (slots < number)
        slots *= 2;
    config->settings.max_events = number ? slots : 0;
    return true;
}

static bool take_workers(void *target, const char *name, const char *value)
{
    struct config *config = target;
    uint64_t number;

    if (!take_number(name, value, 1, SEGMENT_WORKERS_MAX, &number))
        return false;
    config->workers = (unsigned)number;
    return true;
}

/* One of `count` words; its index. */
static bool take_word(const char *name, const char *value, const char *const *words, unsigned count,
                      unsigned *ret)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(value, words[i]) == 0) {
            *ret = i;
            return true;
        }
    }
    log_line("--%s takes %s, %s or %s, not '%.100s'", name, words[0], words[1], words[2], value);
    return false;
}

static bool take_receive(void *target, const char *name, const char *value)
{
    struct config *config = target;
    static const char *const words[] = {
        [RECEIVE_AUTO] = "auto",
        [RECEIVE_IO_URING] = "io_uring",
        [RECEIVE_RECVMMSG] = "recvmmsg",
    };
    unsigned engine;

    if (!take_word(name, value, words, 3, &engine))
        return false;
    config->engine = (enum receive_engine)engine;
    return true;
}

static bool take_site(void *target, const char *name, const char *value)
{
    struct config *config = target;
    int r = sites_add(&config->sites, value);

    if (r == 0)
        return true;
    if (r == -EINVAL)
        log_line("--%s takes a site's name of at most %d bytes, not '%.100s'", name, WIRE_SITE_MAX,
                 value);
    else
        log_line("--%s: %s", name, strerror(-r));
    return false;
}

static bool take_allow(void *target, const char *name, const char *value)
{
    struct config *config = target;

    if (config->allow_count == NETWORKS_MAX) {
        log_line("--%s can be given at most %d times", name, NETWORKS_MAX);
        return false;
    }
    if (network_parse(value, &config->allow[config->allow_count]) < 0) {
        log_line("--%s takes an address or a network such as 10.0.0.0/8 or 2001:db8::/32, not "
                 "'%.100s'",
                 name, value);
        return false;
    }
    config->allow_count++;
    return true;
}

static bool take_limit(const char *name, const char *value, uint64_t most, uint32_t *ret)
{
    uint64_t number;

    if (!take_number(name, value, 1, most, &number))
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool take_max_rooms(void *target, const char *name, const char *value)
{
    struct config *config = target;

    return take_limit(name, value, SEGMENT_SCOPES_MAX, &config->max_rooms_per_site);
}

static bool take_source_rate(void *target, const char *name, const char *value)
{
    struct config *config = target;

    return take_limit(name, value, BUDGET_LIMIT_MAX, &config->source_rate);
}

static bool take_source_new(void *target, const char *name, const char *value)
{
    struct config *config = target;

    return take_limit(name, value, BUDGET_LIMIT_MAX, &config->source_new);
}

static bool take_keys(void *target, const char *name, const char *value)
{
    struct config *config = target;

    if (!*value || strlen(value) >= sizeof(config->keys)) {
        log_line("--%s takes the path of a file of keys", name);
        return false;
    }
    strcpy(config->keys, value);
    return true;
}

static bool take_xdp(void *target, const char *name, const char *value)
{
    struct config *config = target;

    if (!*value || strlen(value) >= sizeof(config->xdp)) {
        log_line("--%s takes the name of a network interface, not '%.100s'", name, value);
        return false;
    }
    strcpy(config->xdp, value);
    return true;
}

static bool take_xdp_mode(void *target, const char *name, const char *value)
{
    struct config *config = target;
    static const char *const words[] = {
        [XDP_AUTO] = "auto",
        [XDP_NATIVE] = "native",
        [XDP_GENERIC] = "generic",
    };
    unsigned mode;

    if (!take_word(name, value, words, 3, &mode))
        return false;
    config->xdp_mode = (enum xdp_mode)mode;
    return true;
}

static const struct option_entry entries[] = {
    {"listen", take_listen, "ADDR:PORT", "take heartbeats here; repeatable (127.0.0.1:9514)"},
    {"segment", take_segment, "PATH", "the shared segment (/dev/shm/presence)"},
    {"max-visitors", take_max_visitors, "N",
     "words in the table: a visitor takes one for the site\n"
     "and one for each room, country and source (1000000)"},
    {"max-scopes", take_max_scopes, "N", "sites, rooms, countries and sources (16384)"},
    {"max-window", take_max_window, "SECONDS", "the longest window (3600)"},
    {"warm-up", take_warm_up, "SECONDS", "counts are marked as a lower bound for this long (90)"},
    {"max-histories", take_max_histories, "N",
     "scopes whose last 24 hours are kept: sites, then the\nbusiest rooms; 0 turns it off (1024)"},
    {"events", take_events, "N", "events that are kept; 0 turns them off (16384)"},
    {"workers", take_workers, "N", "receiving threads (half of the processors, at most 4)"},
    {"receive", take_receive, "ENGINE", "auto, io_uring or recvmmsg (auto)"},
    {"site", take_site, "NAME", "count only this site; repeatable (all)"},
    {"max-rooms-per-site", take_max_rooms, "N", "rooms of a site, and as many sources (no limit)"},
    {"allow", take_allow, "CIDR", "take heartbeats only from here; repeatable (anywhere)"},
    {"source-rate", take_source_rate, "N", "datagrams a second of each source address (no limit)"},
    {"source-new", take_source_new, "N",
     "new visitors a second of each source address, in a\n"
     "site, and in its rooms, countries, sources (no limit)"},
    {"keys", take_keys, "FILE", "take only what is signed with one of these keys"},
    {"xdp", take_xdp, "INTERFACE", "drop what would be rejected there, in the kernel"},
    {"xdp-mode", take_xdp_mode, "MODE", "auto, native or generic (auto)"},
};

static const struct option_table table = {
    .program = "presenced",
    .purpose = "Count the visitors that heartbeats report, in shared memory.",
    .notes = "",
    .entries = entries,
    .count = sizeof(entries) / sizeof(entries[0]),
    .log = log_line,
};

static void set_defaults(struct config *config)
{
    const char *segment = getenv("PRESENCE_SEGMENT");
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    *config = (struct config){
        .settings = {.max_visitors = DEFAULT_VISITORS,
                     .max_scopes = DEFAULT_SCOPES,
                     .max_window = WINDOW_MAX,
                     .warm_up = DEFAULT_WARM_UP,
                     .max_histories = DEFAULT_HISTORIES,
                     .max_events = DEFAULT_EVENTS},
        .workers = half < 1                     ? 1
                   : half > DEFAULT_WORKERS_MAX ? DEFAULT_WORKERS_MAX
                                                : (unsigned)half,
        .engine = RECEIVE_AUTO,
    };
    snprintf(config->segment, sizeof(config->segment), "%s",
             segment && *segment ? segment : PRESENCE_DEFAULT_SEGMENT);
}

_Static_assert((int)CONFIG_RUN == (int)OPTION_RUN && (int)CONFIG_DONE == (int)OPTION_DONE &&
                   (int)CONFIG_WRONG == (int)OPTION_WRONG,
               "the verdicts are the table's");

enum config_verdict config_read(int argc, char **argv, struct config *ret)
{
    set_defaults(ret);
    enum config_verdict verdict = (enum config_verdict)option_table_read(&table, argc, argv, ret);
    if (verdict == CONFIG_RUN && ret->listen_count == 0)
        take_listen(ret, "listen", PRESENCE_DEFAULT_ADDRESS);
    return verdict;
}
