#include "client.h"

#include <netinet/in.h>
#include <string.h>

#include "http_log.h"

#define FORWARDED_MAX 16 /* X-Forwarded-For headers of a request; more are cut off */

struct forwarded {
    size_t count;
    const char *values[FORWARDED_MAX];
};

static bool is_trusted(const struct options *options, const struct host *host)
{
    for (size_t i = 0; i < options->proxy_count; i++) {
        if (network_contains(&options->proxies[i], host))
            return true;
    }
    return false;
}

static enum MHD_Result collect(void *context, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    struct forwarded *forwarded = context;

    (void)kind;
    if (!value || strcasecmp(name, "X-Forwarded-For") != 0)
        return MHD_YES;
    if (forwarded->count == FORWARDED_MAX) /* the last ones count */
        memmove(forwarded->values, forwarded->values + 1,
                --forwarded->count * sizeof(forwarded->values[0]));
    forwarded->values[forwarded->count++] = value;
    return MHD_YES;
}

/* Read an address of a list: bare, [in brackets], and perhaps with a port. */
static bool read_address(const char *text, size_t length, struct host *ret)
{
    char address[INET6_ADDRSTRLEN + 8];

    while (length && (*text == ' ' || *text == '\t' || *text == '[')) {
        text++;
        length--;
    }
    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    address[strcspn(address, " \t]")] = '\0';
    char *colon = strchr(address, ':');
    if (colon && !strchr(colon + 1, ':'))
        *colon = '\0'; /* of IPv4: the port's */
    return host_read(address, ret);
}

/* Go back through one header's list, from the end. True when the client is found: who is no proxy,
 * or what can't be read, for then the last one that could be is as far as we see. */
static bool walk_back(const struct options *options, const char *list, struct host *client)
{
    const char *end = list + strlen(list);

    for (;;) {
        const char *begin = end;
        while (begin > list && begin[-1] != ',')
            begin--;
        if (!read_address(begin, (size_t)(end - begin), client) || !is_trusted(options, client))
            return true;
        if (begin == list)
            return false;
        end = begin - 1;
    }
}

static void note_disbelief(void)
{
    static bool noted;

    if (!noted)
        http_log("X-Forwarded-For is not believed: name the proxy in front with --trusted-proxy");
    noted = true;
}

struct client client_of(const struct web *web, const struct http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct client client = {.host = host_of(info->client_addr)};
    struct forwarded forwarded = {0};

    client.proxied = is_trusted(&web->options, &client.host);
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, collect, &forwarded);
    if (!client.proxied && forwarded.count)
        note_disbelief();
    if (!client.proxied)
        return client;
    while (forwarded.count-- &&
           !walk_back(&web->options, forwarded.values[forwarded.count], &client.host))
        ;
    return client;
}

static bool is_letter(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

const char *client_country(const struct web *web, const struct http_request *request,
                           const struct client *client)
{
    if (!client->proxied || !web->options.country_header)
        return NULL;
    const char *country = http_request_header(request, web->options.country_header);
    /* XX is how proxies say that they don't know. */
    bool known = country && is_letter(country[0]) && is_letter(country[1]) && !country[2] &&
                 strcasecmp(country, "XX") != 0;
    return known ? country : NULL;
}

bool client_is_secure(const struct http_request *request, const struct client *client)
{
    const char *scheme = http_request_header(request, "X-Forwarded-Proto");

    return client->proxied && scheme && strcasecmp(scheme, "https") == 0;
}
