#include "http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/log.h"

#define HOPS_MAX  32 /* of a header; earlier ones are forgotten */
#define NODE_SIZE 64 /* an address with brackets and a port fits */
#define TOKEN \
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" /* RFC 9110 */

/* A client of a proxy, as the proxy names it. */
struct hop {
    bool is_known; /* false: the proxy hides it, or what it says is malformed */
    bool is_secure;
    struct host host;
};

enum header {
    FORWARDED_FOR,
    FORWARDED,
    REAL_IP,
    HEADERS,
};

static const char *const names[HEADERS] = {
    [FORWARDED_FOR] = "X-Forwarded-For",
    [FORWARDED] = "Forwarded",
    [REAL_IP] = "X-Real-IP",
};

/* The hops of all headers of one name, in order. */
struct chain {
    size_t count;
    struct hop hops[HOPS_MAX];
};

static struct hop *add_hop(struct chain *chain)
{
    if (chain->count == HOPS_MAX)
        memmove(chain->hops, chain->hops + 1, --chain->count * sizeof(chain->hops[0]));
    struct hop *hop = &chain->hops[chain->count++];
    *hop = (struct hop){0};
    return hop;
}

/* ---- parsing -------------------------------------------------------------------------------- */

/* A part of a header, without the blanks around it. */
struct piece {
    const char *begin, *end;
};

static struct piece trim(const char *begin, const char *end)
{
    while (begin < end && (*begin == ' ' || *begin == '\t'))
        begin++;
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return (struct piece){begin, end};
}

/* Return the first `separator` outside quotes, or `end`. */
static const char *find_outside(const char *text, const char *end, char separator)
{
    for (bool quoted = false; text < end && (quoted || *text != separator); text++) {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted && *text == '\\' && text + 1 < end)
            text++;
    }
    return text;
}

/* Copy a value, without its quotes if it has some. False: it is malformed or too long. */
static bool copy_value(struct piece value, char ret[NODE_SIZE])
{
    bool quoted = value.begin < value.end && *value.begin == '"';
    const char *at = value.begin + quoted;
    size_t length = 0;

    for (; at < value.end && !(quoted && *at == '"'); at++) {
        if (quoted && *at == '\\' && at + 1 < value.end)
            at++;
        if (length == NODE_SIZE - 1)
            return false;
        ret[length++] = *at;
    }
    ret[length] = '\0';
    return !quoted || at + 1 == value.end;
}

/* Parse an address: bare or [in brackets], perhaps with a port. */
static bool parse_node(struct piece value, struct host *ret)
{
    char node[NODE_SIZE], *address = node;

    if (!copy_value(value, node))
        return false;
    char *colon = strchr(node, ':');
    if (*node == '[') {
        char *bracket = strchr(node, ']');
        if (!bracket || (bracket[1] && bracket[1] != ':'))
            return false;
        *bracket = '\0';
        address++;
    } else if (colon && !strchr(colon + 1, ':')) {
        *colon = '\0'; /* the port of an IPv4 address */
    }
    return host_parse(address, ret) == 0;
}

static bool is_word(struct piece piece, const char *word)
{
    size_t length = (size_t)(piece.end - piece.begin);

    return length == strlen(word) && strncasecmp(piece.begin, word, length) == 0;
}

/* True if the piece, of a text that ends with a zero byte, has such characters only, and one at
 * least. */
static bool consists_of(struct piece piece, const char *characters)
{
    return piece.begin < piece.end &&
           strspn(piece.begin, characters) >= (size_t)(piece.end - piece.begin);
}

/* True if this is a token, or one quoted string that ends where the value does. Addresses are often
 * sent without the quotes that they need. */
static bool is_value(struct piece value)
{
    if (consists_of(value, TOKEN ":[]"))
        return true;
    if (value.begin == value.end || *value.begin != '"')
        return false;
    const char *at = value.begin + 1;
    while (at < value.end && *at != '"')
        at += *at == '\\' && at + 1 < value.end ? 2 : 1;
    return at + 1 == value.end;
}

/* Parse a parameter of a hop of Forwarded, such as for="[2001:db8::1]:80". False: malformed. */
static bool parse_parameter(struct piece parameter, struct hop *hop, bool *has_node)
{
    const char *equals = memchr(parameter.begin, '=', (size_t)(parameter.end - parameter.begin));
    struct piece name = trim(parameter.begin, equals ? equals : parameter.end);
    struct piece value = trim(equals ? equals + 1 : parameter.end, parameter.end);
    char scheme[NODE_SIZE];

    if (!consists_of(name, TOKEN) || !is_value(value))
        return false;
    if (is_word(name, "for")) {
        if (*has_node) /* twice */
            return false;
        *has_node = true;
        hop->is_known = parse_node(value, &hop->host);
    } else if (is_word(name, "proto")) {
        hop->is_secure = copy_value(value, scheme) && strcasecmp(scheme, "https") == 0;
    }
    return true;
}

/* Parse an element of Forwarded. If a part of it is malformed, nothing in it is believed: a quote
 * that a stranger has opened makes what the proxy has appended a part of the stranger's. */
static void parse_forwarded_hop(struct piece element, struct chain *chain)
{
    struct hop *hop = add_hop(chain);
    bool has_node = false;

    for (const char *at = element.begin; at < element.end;) {
        const char *end = find_outside(at, element.end, ';');
        struct piece parameter = trim(at, end);
        if (parameter.begin < parameter.end && !parse_parameter(parameter, hop, &has_node)) {
            *hop = (struct hop){0};
            return;
        }
        at = end + (end < element.end);
    }
}

static void parse_plain_hop(struct piece element, struct chain *chain)
{
    struct hop *hop = add_hop(chain);

    hop->is_known = parse_node(element, &hop->host);
}

/* Parse one header, whose list may have empty elements. Only Forwarded has quotes: elsewhere a
 * stranger's could hide what the proxy has appended. */
static void parse_list(enum header header, const char *list, struct chain *chain)
{
    const char *end = list + strlen(list);

    for (const char *at = list; at < end;) {
        const char *comma = header == FORWARDED ? find_outside(at, end, ',') : strchrnul(at, ',');
        struct piece element = trim(at, comma);
        if (element.begin < element.end && header == FORWARDED)
            parse_forwarded_hop(element, chain);
        else if (element.begin < element.end)
            parse_plain_hop(element, chain);
        at = comma + (comma < end);
    }
}

static enum MHD_Result collect(void *context, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    struct chain *chains = context;

    (void)kind;
    for (int i = 0; i < HEADERS; i++) {
        if (value && strcasecmp(name, names[i]) == 0)
            parse_list((enum header)i, value, &chains[i]);
    }
    return MHD_YES;
}

/* ---- believing ------------------------------------------------------------------------------ */

struct trusted {
    const struct network *proxies;
    unsigned count;
};

static bool is_trusted(const struct trusted *trusted, const struct host *host)
{
    for (unsigned i = 0; i < trusted->count; i++) {
        if (network_contains(&trusted->proxies[i], host))
            return true;
    }
    return false;
}

/* The client that a chain names. A later one counts for more. */
enum finding {
    NOBODY,  /* the header is absent */
    A_PROXY, /* only trusted proxies */
    A_CLIENT,
    SOMEBODY, /* whom the proxy hides, or whose address is malformed */
};

/* Walk a chain from its end to the first hop that is no trusted proxy. */
static enum finding walk_back(const struct trusted *trusted, const struct chain *chain,
                              struct http_client *client)
{
    for (size_t i = chain->count; i-- > 0;) {
        const struct hop *hop = &chain->hops[i];
        client->is_secure |= hop->is_secure;
        if (!hop->is_known)
            return SOMEBODY;
        client->host = hop->host;
        if (!is_trusted(trusted, &hop->host))
            return A_CLIENT;
    }
    return chain->count ? A_PROXY : NOBODY;
}

/* True the first time. */
static bool is_first(bool *warned)
{
    bool was = *warned;

    *warned = true;
    return !was;
}

static const char *format_host(const struct host *host, char ret[INET6_ADDRSTRLEN])
{
    return host_is_v4(host) ? inet_ntop(AF_INET, host->bytes + 12, ret, INET6_ADDRSTRLEN)
                            : inet_ntop(AF_INET6, host->bytes, ret, INET6_ADDRSTRLEN);
}

static void warn_untrusted(const struct chain *chains, const struct host *peer)
{
    static bool warned;
    char text[INET6_ADDRSTRLEN];

    for (int i = 0; i < HEADERS; i++) {
        if (chains[i].count && is_first(&warned))
            log_line("ignoring X-Forwarded-For, Forwarded and X-Real-IP from %s: name the proxy in "
                     "front with --trusted-proxy",
                     format_host(peer, text));
    }
}

/* Choose the client from the chains. If they name different ones, it is the proxy. */
static void choose_client(const struct trusted *trusted, const struct chain *chains,
                          struct http_client *client)
{
    static bool warned_silent, warned_torn;
    const struct host proxy = client->host;
    enum finding best = NOBODY;
    char text[INET6_ADDRSTRLEN];
    bool torn = false;

    for (int i = 0; i < HEADERS; i++) {
        struct http_client found = {.host = proxy};
        enum finding finding = walk_back(trusted, &chains[i], &found);
        client->is_secure |= found.is_secure;
        torn |= finding >= A_CLIENT && best >= A_CLIENT &&
                memcmp(&found.host, &client->host, sizeof(found.host)) != 0;
        if (finding > best) {
            best = finding;
            client->host = found.host;
        }
    }
    if (best == NOBODY && is_first(&warned_silent))
        log_line("the trusted proxy %s sends none of X-Forwarded-For, Forwarded and X-Real-IP: all "
                 "its clients share one budget",
                 format_host(&proxy, text));
    if (!torn)
        return;
    client->host = proxy;
    if (is_first(&warned_torn))
        log_line("the headers of the trusted proxy %s name different clients, so none is believed: "
                 "let it remove those of X-Forwarded-For, Forwarded and X-Real-IP that it doesn't "
                 "set",
                 format_host(&proxy, text));
}

struct http_client http_client_find(const struct http_request *request,
                                    const struct network *proxies, unsigned count)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct trusted trusted = {proxies, count};
    struct http_client client = {0};
    struct chain chains[HEADERS];

    for (int i = 0; i < HEADERS; i++)
        chains[i].count = 0;
    host_of(info->client_addr, &client.host);
    client.is_proxied = is_trusted(&trusted, &client.host);
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect, chains);
    if (client.is_proxied) {
        const char *scheme = http_request_header(request, "X-Forwarded-Proto");
        client.is_secure = scheme && strcasecmp(scheme, "https") == 0;
        choose_client(&trusted, chains, &client);
    } else {
        warn_untrusted(chains, &client.host);
    }
    client.host = host_client(&client.host);
    return client;
}
