#include "options.h"

#include "options_value.h"
#include "core/wire.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define BATCH_MAX          4000 /* with the longest names it fits in a datagram */
#define DATAGRAM_BYTES     1400
#define ROOMS_MAX          10000000
#define COUNTRIES_MAX      (26 * 26)
#define SOURCES_MAX        1000000
#define MADE_UP_NAME_BYTES 32 /* the longest name that a load makes up is shorter */
#define RATE_MAX           1e9
#define DURATION_MAX_S     (366 * 86400.0)
#define VISITORS_MAX       UINT64_C(1000000000000)
#define VISITORS_DEFAULT   1000
#define HEARTBEAT_EVERY_S  60

/* In the order of `long_options`. */
enum option_id {
    OPTION_TO = 1,
    OPTION_SITE,
    OPTION_ROOM,
    OPTION_COUNTRY,
    OPTION_SOURCE,
    OPTION_VISITOR,
    OPTION_KIND,
    OPTION_EVENT,
    OPTION_KEY,
    OPTION_TEXT,
    OPTION_BATCH,
    OPTION_NO_GSO,
    OPTION_VISITORS,
    OPTION_FIRST,
    OPTION_RATE,
    OPTION_DURATION,
    OPTION_ROOMS,
    OPTION_COUNTRIES,
    OPTION_SOURCES,
    OPTION_SEED,
    OPTION_HELP,
    OPTION_VERSION,
    OPTIONS,
};

static const struct option long_options[] = {
    {"to", required_argument, NULL, OPTION_TO},
    {"site", required_argument, NULL, OPTION_SITE},
    {"room", required_argument, NULL, OPTION_ROOM},
    {"country", required_argument, NULL, OPTION_COUNTRY},
    {"source", required_argument, NULL, OPTION_SOURCE},
    {"visitor", required_argument, NULL, OPTION_VISITOR},
    {"kind", required_argument, NULL, OPTION_KIND},
    {"event", required_argument, NULL, OPTION_EVENT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"text", no_argument, NULL, OPTION_TEXT},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"no-gso", no_argument, NULL, OPTION_NO_GSO},
    {"visitors", required_argument, NULL, OPTION_VISITORS},
    {"first", required_argument, NULL, OPTION_FIRST},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"duration", required_argument, NULL, OPTION_DURATION},
    {"rooms", required_argument, NULL, OPTION_ROOMS},
    {"countries", required_argument, NULL, OPTION_COUNTRIES},
    {"sources", required_argument, NULL, OPTION_SOURCES},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "Usage: presence-send --site SITE --visitor ID [OPTION]...     one heartbeat\n"
    "       presence-send [--site SITE] [OPTION]... < LINES        visitor ids or PH1 heartbeats\n"
    "       presence-send --site SITE --visitors N [OPTION]...     a load of made-up visitors\n"
    "\n"
    "Send heartbeats to a presence collector.\n"
    "\n"
    "  --to HOST:PORT       the collector (" PRESENCE_DEFAULT_ADDRESS ")\n"
    "  --site SITE          the visitor's site\n"
    "  --room ROOM          and the room there\n"
    "  --country CC         two letters\n"
    "  --source SOURCE      where the visitor came from\n"
    "  --visitor ID         a UUID, or any other id of up to 128 bytes\n"
    "  --kind KIND          heartbeat (the default), leave, pageview or event\n"
    "  --event NAME         the event's name\n"
    "  --key ID:HEX32       sign with this key of the collector's\n"
    "  --text               send text heartbeats, one a datagram\n"
    "  --batch N            visitors a datagram (as many as fit in 1400 bytes)\n"
    "  --no-gso             don't leave cutting up runs of datagrams to the kernel\n"
    "\n"
    "A load:\n"
    "  --visitors N         how many different visitors (1000)\n"
    "  --first N            the number of the first one (0)\n"
    "  --rate R             heartbeats a second, 0: as many as possible (one a visitor and "
    "minute)\n"
    "  --duration S         seconds (until every visitor has had one heartbeat)\n"
    "  --rooms N            spread the visitors over N rooms\n"
    "  --countries N        and N countries\n"
    "  --sources N          and N sources\n"
    "  --seed N             visitors in a random order, instead of one after the other\n"
    "\n"
    "  --help  --version\n"
    "\n"
    "A load ends with a summary in JSON on stdout.\n"
    "Exit status: 0 fine, 1 a failure, 2 wrong usage.\n";

static const char *option_name(int option)
{
    return long_options[option - 1].name;
}

/* What has been read so far. */
struct reading {
    struct options options;
    bool given[OPTIONS];
};

static bool read_place(struct reading *reading, int option, const char *value)
{
    struct presence_place *place = &reading->options.place;
    int kind;

    switch (option) {
    case OPTION_SITE:
        return value_name("site", value, WIRE_SITE_MAX, &place->site);
    case OPTION_ROOM:
        return value_name("room", value, WIRE_ROOM_MAX, &place->room);
    case OPTION_COUNTRY:
        return value_country("country", value, &place->country);
    case OPTION_SOURCE:
        return value_name("source", value, WIRE_SOURCE_MAX, &place->source);
    case OPTION_EVENT:
        return value_name("event", value, WIRE_EVENT_MAX, &place->event);
    default:
        if (!value_kind("kind", value, &kind))
            return false;
        place->kind = (enum presence_heartbeat_kind)kind;
        return true;
    }
}

static bool read_load(struct reading *reading, int option, const char *value)
{
    struct load_options *load = &reading->options.load;

    switch (option) {
    case OPTION_VISITORS:
        return value_whole("visitors", value, 1, VISITORS_MAX, &load->visitors);
    case OPTION_FIRST:
        return value_whole("first", value, 0, VISITORS_MAX, &load->first);
    case OPTION_RATE:
        return value_decimal("rate", value, 0, RATE_MAX, &load->rate);
    case OPTION_DURATION:
        return value_decimal("duration", value, 0.001, DURATION_MAX_S, &load->duration_s);
    case OPTION_ROOMS:
        return value_whole32("rooms", value, 1, ROOMS_MAX, &load->rooms);
    case OPTION_COUNTRIES:
        return value_whole32("countries", value, 1, COUNTRIES_MAX, &load->countries);
    case OPTION_SOURCES:
        return value_whole32("sources", value, 1, SOURCES_MAX, &load->sources);
    default:
        load->random = true;
        return value_whole("seed", value, 0, UINT64_MAX, &load->seed);
    }
}

static bool read_option(struct reading *reading, int option, char *value)
{
    struct options *options = &reading->options;

    reading->given[option] = true;
    switch (option) {
    case OPTION_TO:
        return value_address("to", value, &options->to);
    case OPTION_VISITOR:
        return value_visitor("visitor", value, &options->visitor);
    case OPTION_KEY:
        return value_key("key", value, &options->sender.key_id, options->sender.key);
    case OPTION_TEXT:
        options->sender.text = true;
        return true;
    case OPTION_NO_GSO:
        options->sender.no_offload = true;
        return true;
    case OPTION_BATCH:
        return value_whole32("batch", value, 1, BATCH_MAX, &options->sender.batch);
    case OPTION_SITE:
    case OPTION_ROOM:
    case OPTION_COUNTRY:
    case OPTION_SOURCE:
    case OPTION_KIND:
    case OPTION_EVENT:
        return read_place(reading, option, value);
    default:
        return read_load(reading, option, value);
    }
}

static bool check_load_only(const struct reading *reading)
{
    static const int load_only[] = {OPTION_FIRST,     OPTION_DURATION, OPTION_ROOMS,
                                    OPTION_COUNTRIES, OPTION_SOURCES,  OPTION_SEED};

    if (reading->options.mode == MODE_LOAD)
        return true;
    for (size_t i = 0; i < sizeof(load_only) / sizeof(load_only[0]); i++) {
        if (reading->given[load_only[i]])
            return value_wrong(option_name(load_only[i]),
                               "belongs to a load: give --visitors or --rate too");
    }
    return true;
}

static bool check_together(const struct reading *reading)
{
    static const int pairs[][2] = {
        {OPTION_VISITOR, OPTION_VISITORS}, {OPTION_VISITOR, OPTION_RATE},
        {OPTION_TEXT, OPTION_BATCH},       {OPTION_TEXT, OPTION_KEY},
        {OPTION_ROOM, OPTION_ROOMS},       {OPTION_COUNTRY, OPTION_COUNTRIES},
        {OPTION_SOURCE, OPTION_SOURCES},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (reading->given[pairs[i][0]] && reading->given[pairs[i][1]])
            return value_wrong(option_name(pairs[i][0]), "cannot go with --%s",
                               option_name(pairs[i][1]));
    }
    return true;
}

static bool check_place(const struct reading *reading)
{
    const struct presence_place *place = &reading->options.place;
    bool is_event = place->kind == PRESENCE_EVENT;

    if (!place->site && reading->options.mode != MODE_STREAM)
        return value_wrong("site", "is needed, as in --site example.com");
    if (is_event && !place->event)
        return value_wrong("kind", "an event needs --event NAME");
    if (!is_event && place->event)
        return value_wrong("event", "is of kind event: leave --kind out");
    return true;
}

/* In text `-` means absent. */
static bool check_text(const struct reading *reading)
{
    const struct presence_place *place = &reading->options.place;
    const struct {
        const char *option, *name;
    } names[] = {{"site", place->site},
                 {"room", place->room},
                 {"source", place->source},
                 {"event", place->event}};

    if (!reading->options.sender.text)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].name && strcmp(names[i].name, "-") == 0)
            return value_wrong(names[i].option, "a lone - means absent in --text");
    }
    return true;
}

static uint32_t name_bytes(const char *name)
{
    return name ? (uint32_t)strlen(name) : MADE_UP_NAME_BYTES;
}

static void choose_defaults(struct reading *reading)
{
    struct options *options = &reading->options;
    const struct presence_place *place = &options->place;
    uint32_t bytes = WIRE_HEADER_SIZE + name_bytes(place->site) + name_bytes(place->room) +
                     name_bytes(place->source) + name_bytes(place->event) +
                     options->sender.batch * WIRE_VISITOR_SIZE +
                     (options->sender.key_id ? WIRE_TAG_SIZE : 0);

    /* As many visitors as were asked for, even if the datagram has to be cut up on its way. */
    options->sender.datagram_bytes = bytes > DATAGRAM_BYTES ? bytes : DATAGRAM_BYTES;
    if (!reading->given[OPTION_VISITORS])
        options->load.visitors = VISITORS_DEFAULT;
    if (!reading->given[OPTION_RATE])
        options->load.rate = (double)options->load.visitors / HEARTBEAT_EVERY_S;
}

static void choose_mode(struct reading *reading)
{
    struct options *options = &reading->options;

    options->mode = MODE_STREAM;
    if (reading->given[OPTION_VISITOR])
        options->mode = MODE_ONE;
    else if (reading->given[OPTION_VISITORS] || reading->given[OPTION_RATE])
        options->mode = MODE_LOAD;
    if (options->place.kind == 0)
        options->place.kind = options->place.event ? PRESENCE_EVENT : PRESENCE_HEARTBEAT;
}

static int say_unknown(char **argv)
{
    if (optopt >= OPTIONS)
        fprintf(stderr, "presence-send: '-%c' is not an option; see --help\n", optopt);
    else if (optopt > 0)
        value_wrong(option_name(optopt), "needs a value, or takes none; see --help");
    else
        fprintf(stderr, "presence-send: '%s' is not an option; see --help\n", argv[optind - 1]);
    return 2;
}

int options_read(int argc, char **argv, struct options *ret)
{
    struct reading reading = {.options = {.to = PRESENCE_DEFAULT_ADDRESS}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == '?')
            return say_unknown(argv);
        if (option == OPTION_HELP) {
            fputs(help, stdout);
            return 0;
        }
        if (option == OPTION_VERSION) {
            puts("presence-send " PRESENCE_VERSION);
            return 0;
        }
        if (!read_option(&reading, option, optarg))
            return 2;
    }
    if (optind < argc) {
        fprintf(stderr, "presence-send: '%s' is not expected; see --help\n", argv[optind]);
        return 2;
    }
    choose_mode(&reading);
    if (!check_together(&reading) || !check_load_only(&reading) || !check_place(&reading) ||
        !check_text(&reading))
        return 2;
    choose_defaults(&reading);
    *ret = reading.options;
    return OPTIONS_GO_ON;
}
