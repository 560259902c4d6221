/* options.c - the command line of presence-send. */
#include <errno.h>
#include <string.h>

#include "common/address.h"
#include "common/key_file.h"
#include "common/place.h"
#include "presence-send.h"

#define BATCH_MAX          4000 /* with the longest names it fits in a datagram */
#define DATAGRAM_BYTES     1400
#define ROOMS_MAX          10000000
#define COUNTRIES_MAX      (26 * 26)
#define SOURCES_MAX        1000000
#define MADE_UP_NAME_BYTES 32 /* names of a load are shorter */
#define RATE_MAX           1e9
#define DURATION_MAX_S     (366 * 86400.0)
#define VISITORS_MAX       UINT64_C(1000000000000)
#define HEARTBEAT_EVERY_S  60

/* ---- values ------------------------------------------------------------------------------ */

static int check_address(char *value)
{
    struct address address;

    return address_split_peer(value, &address);
}

static int check_name(char *value)
{
    return place_is_name(value, PLACE_ROOM_MAX) ? 0 : -EINVAL;
}

static int check_country(char *value)
{
    char country[3];

    return place_parse_country(value, country) ? 0 : -EINVAL;
}

static int check_visitor(char *value)
{
    size_t length;
    const char *id = place_trim(value, &length);

    return place_is_visitor(id, length) && !(length == 1 && *id == '-') ? 0 : -EINVAL;
}

static int parse_key(void *target, const char *text)
{
    struct presence_sender_options *sender = target;
    struct key key;
    int r = key_parse(text, ':', &key);

    if (r < 0)
        return r;
    sender->key_id = key.id;
    memcpy(sender->key, key.bytes, sizeof(key.bytes));
    return 0;
}

/* ---- the table --------------------------------------------------------------------------- */

static const char *const kinds[] = {
    [PRESENCE_HEARTBEAT] = "heartbeat", [PRESENCE_LEAVE] = "leave",
    [PRESENCE_PAGEVIEW] = "pageview",   [PRESENCE_EVENT] = "event",
    [PRESENCE_EVENT + 1] = NULL,
};

#define OPTION_NAME(member, longest)           \
    OPTION_TEXT(struct options, member),       \
        .max = (longest), .check = check_name, \
        .expected = "1 to " #longest " bytes of UTF-8 without control characters"

static const struct option_entry entries[] = {
    {"to", OPTION_TEXT(struct options, to), .check = check_address, .argument = "HOST:PORT",
     .expected = "HOST:PORT, such as 127.0.0.1:9514 or [::1]:9514", .help = "the collector",
     .details =
         "An IPv6 address is in brackets. A name is looked up once, when the program starts, "
         "and an IPv4 address is preferred.",
     .fallback = PRESENCE_DEFAULT_ADDRESS},
    {"site", OPTION_NAME(site, 253), .argument = "SITE", .example = "example.com",
     .help = "the visitor's site", .details = "1 to 253 bytes."},
    {"room", OPTION_NAME(room, 255), .argument = "ROOM", .example = "/pricing",
     .help = "the visitor's room on the site",
     .details = "1 to 255 bytes. One that begins with a slash is a path: repeated slashes count as "
                "one, and a trailing one is dropped."},
    {"country", OPTION_TEXT(struct options, country), .check = check_country, .argument = "CC",
     .expected = "two letters, such as DE", .example = "DE",
     .help = "the visitor's country, two letters", .details = "XX and ZZ stand for none."},
    {"source", OPTION_NAME(source, 253), .argument = "SOURCE", .example = "news.example",
     .help = "the source that the visitor came from",
     .details = "1 to 253 bytes. ASCII letters are lower-cased, as those of a site."},
    {"visitor", OPTION_TEXT(struct options, visitor), .check = check_visitor, .argument = "ID",
     .expected = "an id of 1 to 512 bytes, but for -, undefined, null, NaN and the UUID of zeros",
     .example = "visitor-42",
     .help = "send one heartbeat of this visitor: a UUID, or any other id of up to 512 bytes",
     .details = "undefined, null, NaN and the UUID of zeros are refused."},
    {"kind", OPTION_WORD(struct options, place.kind, kinds), .min = PRESENCE_HEARTBEAT,
     .argument = "KIND", .example = "heartbeat",
     .help = "heartbeat (the default), leave, pageview or event",
     .details = "leave ends the presence in the room, or without a room in the site; pageview and "
                "event are also heartbeats."},
    {"event", OPTION_NAME(event, 63), .argument = "NAME", .example = "signup",
     .help = "the event's name", .details = "1 to 63 bytes. The kind is then event."},
    {"key", OPTION_PARSED(struct options, sender, parse_key), .secret = true,
     .argument = "ID:HEX32", .example = "7:000102030405060708090a0b0c0d0e0f",
     .expected = "ID:HEX32, a number from 1 to 255 and 32 hex digits",
     .help = "sign with this key of the collector's; rather use --key-file",
     .details = "It is one of the collector's --keys: its id, 1 to 255, and its 16 bytes in 32 "
                "hexadecimal digits. The clock has to be within 30 seconds of the collector's. The "
                "digits are overwritten once they are parsed, so that the list of processes does "
                "not show them for long, but a shell's history keeps them: --key-file is safer. "
                "Not with --text."},
    {"key-file", OPTION_TEXT(struct options, key_file), .argument = "FILE", .expected = "a file",
     .example = "/etc/presence/keys",
     .help = "sign with the first key in this file, a line ID HEX32 as in the collector's --keys",
     .details =
         "It may be the collector's own file. Other keys in it are checked and not used: to "
         "sign with another, put that one first. KEYS in presenced(8) says whose file it has "
         "to be, and its mode. Not with --text."},
    {"text", OPTION_FLAG(struct options, sender.text),
     .help = "send text heartbeats, one a datagram",
     .details = "An id of which only the native form is known is sent as a UUID, which is the same "
                "visitor."},
    {"batch", OPTION_UINT32(struct options, sender.batch), .min = 1, .max = BATCH_MAX,
     .argument = "N", .example = "50",
     .help = "visitors a datagram; default as many as fit in 1400 bytes",
     .details =
         "1 to 4000. With more than 80 or so the datagram is longer than 1400 bytes, and may "
         "be fragmented."},
    {"no-gso", OPTION_FLAG(struct options, sender.no_offload),
     .help = "never leave cutting up runs of datagrams to the kernel",
     .details = "This is generic segmentation offload. If a network device refuses it, the program "
                "stops using it by itself."},
    {OPTION_HEADING("A load")},
    {"visitors", OPTION_UINT64(struct options, load.visitors), .min = 1, .max = VISITORS_MAX,
     .argument = "N", .help = "how many different visitors", .fallback = "1000",
     .details =
         "Visitor n is the UUID 00000000-0000-4000-8000- followed by n in twelve hexadecimal "
         "digits. They come one after the other, and again from the first."},
    {"first", OPTION_UINT64(struct options, load.first), .max = VISITORS_MAX, .argument = "N",
     .help = "the number of the first visitor", .fallback = "0"},
    {"rate", OPTION_DECIMAL(struct options, load.rate), .decimal_max = RATE_MAX, .argument = "R",
     .example = "1000",
     .help = "heartbeats a second, 0 for as many as possible; default one a visitor and minute",
     .details = "A sender that was delayed catches up at twice the rate."},
    {"duration", OPTION_DECIMAL(struct options, load.duration_s), .decimal_min = 0.001,
     .decimal_max = DURATION_MAX_S, .argument = "SECONDS", .example = "600",
     .help = "how long; default until every visitor has had one heartbeat"},
    {"rooms", OPTION_UINT32(struct options, load.rooms), .min = 1, .max = ROOMS_MAX,
     .argument = "N", .example = "20", .help = "spread the visitors over N rooms",
     .details = "Visitor n is in /room-(n modulo N)."},
    {"countries", OPTION_UINT32(struct options, load.countries), .min = 1, .max = COUNTRIES_MAX,
     .argument = "N", .example = "10", .help = "spread the visitors over N countries",
     .details = "AA, AB and so on, at most 676."},
    {"sources", OPTION_UINT32(struct options, load.sources), .min = 1, .max = SOURCES_MAX,
     .argument = "N", .example = "5", .help = "spread the visitors over N sources",
     .details = "source-0.example, source-1.example and so on."},
    {"seed", OPTION_UINT64(struct options, load.seed), .max = UINT64_MAX, .argument = "N",
     .example = "1", .help = "send visitors in a random order, the same for the same number",
     .details = "Some come again before others have come at all."},
};

const struct option_table options_table = {
    .program = "presence-send",
    .usage = "presence-send --site SITE --visitor ID [OPTION]...     one heartbeat\n"
             "       presence-send [--site SITE] [OPTION]... < LINES        visitor ids or PH1 "
             "heartbeats\n"
             "       presence-send --site SITE --visitors N [OPTION]...     a load of made-up "
             "visitors",
    .purpose = "Send heartbeats to a presence collector.",
    .notes = "A load ends with a summary in JSON on stdout.\n"
             "Exit status: 0 fine, 1 failure, 2 wrong usage.\n",
    OPTION_ENTRIES(entries),
    .read_file = options_read_file,
};

/* ---- combinations ------------------------------------------------------------------------ */

static enum mode choose_mode(const struct option_use *use)
{
    if (option_given(use, "visitor"))
        return MODE_ONE;
    return option_given(use, "visitors") || option_given(use, "rate") ? MODE_LOAD : MODE_INPUT;
}

static enum option_verdict check_pairs(const struct option_use *use)
{
    static const char *const pairs[][2] = {
        {"visitor", "visitors"}, {"visitor", "rate"},      {"text", "batch"},
        {"text", "key"},         {"text", "key-file"},     {"key", "key-file"},
        {"room", "rooms"},       {"country", "countries"}, {"source", "sources"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (option_given(use, pairs[i][0]) && option_given(use, pairs[i][1]))
            return option_wrong(pairs[i][0], "cannot be used with --%s", pairs[i][1]);
    }
    return OPTION_RUN;
}

static enum option_verdict check_load_only(const struct option_use *use, enum mode mode)
{
    static const char *const names[] = {"first",     "duration", "rooms",
                                        "countries", "sources",  "seed"};

    for (size_t i = 0; mode != MODE_LOAD && i < sizeof(names) / sizeof(names[0]); i++) {
        if (option_given(use, names[i]))
            return option_wrong(names[i], "belongs to a load: give --visitors or --rate too");
    }
    return OPTION_RUN;
}

static enum option_verdict check_place(const struct options *options)
{
    const struct presence_place *place = &options->place;
    const char *const names[][2] = {{"site", place->site},
                                    {"room", place->room},
                                    {"source", place->source},
                                    {"event", place->event}};
    bool is_event = place->kind == PRESENCE_EVENT;

    if (!place->site && options->mode != MODE_INPUT)
        return option_wrong("site", "is needed, as in --site example.com");
    if (is_event && !place->event)
        return option_wrong("kind", "an event needs --event NAME");
    if (!is_event && place->event)
        return option_wrong("event", "is of kind event: leave --kind out");
    for (size_t i = 0; options->sender.text && i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i][1] && strcmp(names[i][1], "-") == 0)
            return option_wrong(names[i][0], "a lone - means absent in --text");
    }
    return OPTION_RUN;
}

static uint32_t name_bytes(const char *name)
{
    return 1 + (name ? (uint32_t)strlen(name) : MADE_UP_NAME_BYTES);
}

/* Let a datagram have as many visitors of one place as --batch says, even if it is then fragmented.
 */
static uint32_t datagram_bytes(const struct options *options)
{
    uint32_t visitors = options->sender.batch;
    uint32_t records = (visitors + PLACE_RECORD_MAX - 1) / PLACE_RECORD_MAX;
    uint32_t bytes = PLACE_HEADER_SIZE + name_bytes(options->site) + name_bytes(options->room) +
                     name_bytes(options->source) + name_bytes(options->event) +
                     records * PLACE_RECORD_SIZE + visitors * PLACE_ID_SIZE +
                     (options->sender.key_id || options->key_file ? PLACE_TAG_SIZE : 0);

    return bytes > DATAGRAM_BYTES ? bytes : DATAGRAM_BYTES;
}

enum option_verdict send_options_parse(int argc, char **argv, struct options *ret)
{
    struct options options = {0};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict != OPTION_RUN)
        return verdict;
    options.mode = choose_mode(&use);
    options.place.site = options.site;
    options.place.room = options.room;
    options.place.country = options.country;
    options.place.source = options.source;
    options.place.event = options.event;
    if (options.place.kind == 0)
        options.place.kind = options.event ? PRESENCE_EVENT : PRESENCE_HEARTBEAT;
    options.sender.datagram_bytes = datagram_bytes(&options);
    options.sender.one_shot = options.mode == MODE_ONE;
    options.load.random = option_given(&use, "seed");
    if (!option_given(&use, "rate"))
        options.load.rate = (double)options.load.visitors / HEARTBEAT_EVERY_S;

    verdict = check_pairs(&use);
    if (verdict == OPTION_RUN)
        verdict = check_load_only(&use, options.mode);
    if (verdict == OPTION_RUN)
        verdict = check_place(&options);
    if (verdict == OPTION_RUN)
        *ret = options;
    else
        options_free(&options_table, &options);
    return verdict;
}
