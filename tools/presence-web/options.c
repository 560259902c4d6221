#include "options.h"

#include <errno.h>
#include <string.h>

#include "common/address.h"
#include "common/place.h"
#include "http/http_listen.h"

#define STREAMS_MAX     1000000
#define CLIENT_RATE_MAX 1000000

static int check_listen(char *address)
{
    return http_listen_check(address);
}

static int check_to(char *value)
{
    struct address address;

    return address_split_peer(value, &address);
}

static int check_site(char *name)
{
    return place_parse_site(name, name) ? 0 : -EINVAL;
}

/* Keep both names of ID=SITE as sites are kept. The id ends at the first "=". */
static int check_alias(char *alias)
{
    char id[PLACE_SITE_MAX + 1], site[PLACE_SITE_MAX + 1], *equals = strchr(alias, '=');

    if (!equals)
        return -EINVAL;
    *equals = '\0';
    bool good = place_parse_site(alias, id) && place_parse_site(equals + 1, site);
    *equals = '=';
    if (!good)
        return -EINVAL;
    memcpy(alias, id, strlen(id)); /* lower-casing changes no length */
    memcpy(equals + 1, site, strlen(site));
    return 0;
}

const char *options_find_alias(const struct options *options, const char *id)
{
    size_t length = strcspn(id, "=");

    if (id[length]) /* an alias's id ends there: this is no id */
        return NULL;
    for (unsigned i = 0; i < options->aliases.count; i++) {
        const char *alias = options->aliases.items[i];
        if (strncmp(alias, id, length) == 0 && alias[length] == '=')
            return alias + length + 1;
    }
    return NULL;
}

/* Lower-case an origin, as browsers send it. */
static int check_origin(char *origin)
{
    const char *host = strstr(origin, "://");

    if ((!host || !host[3] || strchr(host + 3, '/')) && strcmp(origin, "null") != 0)
        return -EINVAL;
    for (char *at = origin; *at; at++)
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at | 0x20 : *at);
    return 0;
}

static int check_header(char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")]
               ? -EINVAL
               : 0;
}

static int add_proxy(void *target, const char *text)
{
    struct options *options = target;

    if (options->proxy_count == OPTIONS_LISTED_MAX)
        return -ENOSPC;
    if (network_parse(text, &options->proxies[options->proxy_count]) < 0)
        return -EINVAL;
    options->proxy_count++;
    return 0;
}

static const struct option_entry entries[] = {
    {"listen", OPTION_LIST(struct options, listen), .check = check_listen, .max = HTTP_LISTEN_MAX,
     .argument = "ADDR:PORT",
     .expected = "an address and port such as 127.0.0.1:8474 or [::1]:8474", .help = "serve here",
     .details = HTTP_LISTEN_DETAILS, .fallback = "127.0.0.1:8474"},
    OPTION_SEGMENT(struct options, segment, .details = "It may appear later."),
    OPTION_ENGINE(struct options, engine),
    {"database", OPTION_TEXT(struct options, database), .argument = "FILE", .expected = "a file",
     .example = "/var/lib/presence/totals.db",
     .help = "with --engine: the database in which presence-recorder --engine stores totals",
     .details = "The history and the peaks of totals, and the dashboard's chart, are read from "
                "it. It may appear later. Default: there are none."},
    {"to", OPTION_LIST(struct options, to), .check = check_to, .max = OPTIONS_LISTED_MAX,
     .argument = "ADDR:PORT", .expected = "a numeric address and port such as 127.0.0.1:9514",
     .help = "the collector to send heartbeats to; each gets all of them",
     .details = "While nobody touches, it gets an empty datagram once a second, so that "
                "presencectl senders shows there that this program is alive.",
     .fallback = PRESENCE_DEFAULT_ADDRESS},
    {"key-file", OPTION_TEXT(struct options, key_file), .argument = "FILE", .expected = "a file",
     .example = "/etc/presence/keys",
     .help = "sign heartbeats with the first key in this file, a line ID HEX32 as in the "
             "collector's --keys",
     .details =
         "A # begins a comment; see KEY FILES for the file's mode. The clock has to be within "
         "30 seconds of the collector's. To change the key, add the new one to the "
         "collector's file, put it into this one, send SIGHUP to both, and only then "
         "remove the old one from the collector's."},
    {"site", OPTION_LIST(struct options, sites), .check = check_site, .max = OPTIONS_LISTED_MAX,
     .argument = "NAME", .expected = "1 to 253 bytes of UTF-8 without control characters",
     .example = "example.com", .help = "serve only this site", .details = "Default: any site."},
    {"site-alias", OPTION_LIST(struct options, aliases), .check = check_alias,
     .max = OPTIONS_LISTED_MAX, .argument = "ID=SITE",
     .expected = "an id and a site, as in 42=example.com", .example = "42=example.com",
     .help = "let requests name SITE by this ID, too",
     .details = "Clients of other systems name sites by numbers or UUIDs. It holds "
                "wherever a request names a site."},
    {"rest-site", OPTION_TEXT(struct options, rest_site), .check = check_site, .argument = "NAME",
     .expected = "1 to 253 bytes of UTF-8 without control characters", .example = "example.com",
     .help = "the site of requests that name none: those of Supabase clients, and /ws/posts/",
     .details = "Default: the only --site, if there is exactly one."},
    {"no-compat", OPTION_FLAG(struct options, no_compat),
     .help = "don't answer at the addresses of other systems", .details = "See OTHER SYSTEMS."},
    {"origin", OPTION_LIST(struct options, origins), .check = check_origin,
     .max = OPTIONS_LISTED_MAX, .argument = "ORIGIN",
     .expected = "what browsers send, such as https://example.com, or null",
     .example = "https://example.com",
     .help = "answer only pages from there, as in https://example.com",
     .details =
         "Other pages may not touch, open streams, show pictures or read answers; any page "
         "may load badge.js. Pages in sandboxed frames have the origin null. Default: any page."},
    {"trusted-proxy", OPTION_PARSED_INTO(add_proxy), .max = OPTIONS_LISTED_MAX, .repeatable = true,
     .argument = "NETWORK", .expected = "an address or network such as 127.0.0.1 or 10.0.0.0/8",
     .example = "127.0.0.1",
     .help = "believe X-Forwarded-For, Forwarded, X-Real-IP and X-Forwarded-Proto of a proxy in "
             "this network",
     .details = "The client is then the last address in the list that is no trusted proxy, or the "
                "proxy itself where it hides the client. The headers have to name the same client: "
                "let the proxy remove those that it does not set. Default: none is believed."},
    {"country-header", OPTION_TEXT(struct options, country_header), .check = check_header,
     .argument = "NAME", .expected = "the name of a header, such as X-Country",
     .example = "X-Country",
     .help = "the header in which a trusted proxy says the visitor's country, two letters",
     .details = "XX, ZZ, T1, A1, A2 and O1 are none."},
    {"client-rate", OPTION_UINT32(struct options, client_rate), .max = CLIENT_RATE_MAX,
     .argument = "N", .help = "heartbeats a second of one client; 0: any number",
     .details = "Ten seconds' worth may come at once. A client is an IPv4 address or an IPv6 /64. "
                "Raise it where many visitors share an address.",
     .fallback = "50"},
    {"count-bots", OPTION_FLAG(struct options, count_bots), .help = "count known bots too",
     .details = "Those whose User-Agent says that they are crawlers, previewers, monitors or "
                "headless browsers."},
    {"api-key-file", OPTION_TEXT(struct options, api_key_file), .argument = "FILE",
     .expected = "a file", .example = "/etc/presence/api-keys",
     .help = "reading /api needs one of the keys in this file, one a line",
     .details =
         "A key is sent as \"Authorization: Bearer KEY\", or as clients of OTHER SYSTEMS do, "
         "and has at least 16 bytes; # begins a comment. See KEY FILES."},
    {"jwt-key-file", OPTION_TEXT(struct options, jwt_key_file), .argument = "FILE",
     .expected = "a file", .example = "/etc/presence/jwt-keys",
     .help =
         "whatever reports a visitor, /stream and pictures need a token (JWT, HS256) signed with "
         "one of the keys in this file",
     .details = "The file has a key a line, each of at least 32 bytes; # begins a comment. See "
                "TOKENS."},
    {"max-streams", OPTION_UINT32(struct options, max_streams), .max = STREAMS_MAX, .argument = "N",
     .help = "places on open streams at a time",
     .details = "A stream of one place counts once, one of ten counts ten times, and a WebSocket "
                "in a room once. Beside the streams there may be 1000 other connections.",
     .fallback = "4000"},
    {"client-streams", OPTION_UINT32(struct options, client_streams), .max = STREAMS_MAX,
     .argument = "N", .help = "streams of one client; 0: any number",
     .details = "Together they show at most a quarter of --max-streams, or N places if that is "
                "more.",
     .fallback = "200"},
};

const struct option_table options_table = {
    .program = "presence-web",
    .purpose = "Serve live visitor counts over HTTP, take heartbeats from browsers, and show a\n"
               "dashboard.",
    .notes = "SIGHUP reloads the key files. HTTPS is for a proxy in front: see presence-web(8).\n"
             "Exit status: 0 stopped by a signal, 1 failure, 2 wrong usage.\n",
    OPTION_ENTRIES(entries),
    .read_file = options_read_file,
};

/* ---- options together ----------------------------------------------------------------------- */

/* Refuse an alias that no request could use, ids that mean two sites, and ids of ids. */
static enum option_verdict check_aliases(const struct options *options)
{
    const struct option_list *aliases = &options->aliases;

    for (unsigned i = 0; i < aliases->count; i++) {
        const char *alias = aliases->items[i];
        size_t length = strcspn(alias, "=") + 1;
        if (!options_allow(&options->sites, alias + length))
            return option_wrong("site-alias", "'%s': no --site names that site", alias);
        /* Names are resolved where they are parsed, and a request may be parsed in two places. */
        if (options_find_alias(options, alias + length))
            return option_wrong("site-alias", "'%s': that site is itself an id", alias);
        for (unsigned j = 0; j < i; j++) {
            if (strncmp(alias, aliases->items[j], length) == 0)
                return option_wrong("site-alias", "'%s': the id is given twice", alias);
        }
    }
    return OPTION_RUN;
}

static enum option_verdict check_rest_site(const struct options *options)
{
    const char *site = options->rest_site ? options_find_alias(options, options->rest_site) : NULL;

    if (!site)
        site = options->rest_site;
    return !site || options_allow(&options->sites, site)
               ? OPTION_RUN
               : option_wrong("rest-site", "no --site names '%s'", site);
}

enum option_verdict options_check(const struct options *options)
{
    if (options->database && !options->engine.url)
        return option_wrong("database", "it is for totals: name the engine with --engine, too");
    if (check_aliases(options) == OPTION_WRONG)
        return OPTION_WRONG;
    return check_rest_site(options);
}
