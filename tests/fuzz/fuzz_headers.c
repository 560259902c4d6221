/* fuzz_headers.c - headers that clients choose: Accept, Accept-Encoding, Cookie, X-Forwarded-For,
 * Forwarded and X-Real-IP, lists of words.
 *
 * An input is lines NAME: VALUE. Cookies and what is accepted are compared with a judge written
 * from the RFCs; of the client's address the rule is checked that a stranger can't choose it: what
 * a trusted proxy appends, or the proxy, is the client, whatever comes before. */
#include <http/http_client.h>
#include <http/http_handshake.h>
#include <http/http_websocket.h>
#include <http/negotiate.h>

#include "request_fake.h"

#define COOKIE   "id"
#define BLANKS   " \t"
#define PROXY    "192.0.2.1"
#define CLIENT   "203.0.113.7"
#define STRANGER "198.51.100.9"

void __wrap_log_line(const char *format, ...);

void __wrap_log_line(const char *format, ...)
{
    (void)format;
}

/* Copy a piece of a text without blanks around it. The caller frees it. */
static char *trimmed(const char *begin, const char *end)
{
    while (begin < end && strchr(BLANKS, *begin))
        begin++;
    while (end > begin && strchr(BLANKS, end[-1]))
        end--;
    return strndup(begin, (size_t)(end - begin));
}

/* Return what stands before or behind the first separator of a text, trimmed. NULL: it has none,
 * and this is not the first part. */
static char *part_of(const char *text, char separator, bool behind)
{
    const char *at = strchrnul(text, separator);

    if (behind)
        return *at ? trimmed(at + 1, at + strlen(at)) : NULL;
    return trimmed(text, at);
}

/* ---- cookies ----------------------------------------------------------------------------- */

/* Return the value of the cookie in one header, or NULL. The caller frees it. */
static char *judge_cookie(const char *header)
{
    char *found = NULL;

    for (const char *at = header; *at && !found;) {
        const char *end = strchrnul(at, ';');
        char *pair = strndup(at, (size_t)(end - at));
        char *name = part_of(pair, '=', false), *value = part_of(pair, '=', true);
        if (value && strcmp(name, COOKIE) == 0) {
            found = value;
            value = NULL;
        }
        free(pair);
        free(name);
        free(value);
        at = *end ? end + 1 : end;
    }
    return found;
}

static void check_cookie(char *const *cookies, unsigned count)
{
    char got[64], *expected = NULL;

    for (unsigned i = 0; i < count && !expected; i++)
        expected = judge_cookie(cookies[i]);
    memset(got, 'x', sizeof(got));
    bool found = http_request_cookie(request_fake(), COOKIE, got, sizeof(got));
    if (found != (expected != NULL))
        fuzz_fail("the cookie is %s", found ? "found" : "not found");
    if (found && (strlen(got) >= sizeof(got) || strncmp(got, expected, sizeof(got) - 1) != 0))
        fuzz_fail("the cookie is %s, not %s", got, expected);
    free(expected);
}

/* ---- what is accepted -------------------------------------------------------------------- */

/* Return a weight in thousandths; what is malformed counts as 0 (RFC 9110, 12.4.2). */
static unsigned judge_weight(const char *text)
{
    char padded[6] = "0.000";
    size_t length = strlen(text);

    if (length < 1 || length > 5 || (length > 1 && text[1] != '.') || !strchr("01", text[0]))
        return 0;
    memcpy(padded, text, length);
    padded[1] = '.';
    if (padded[2 + strspn(padded + 2, "0123456789")])
        return 0;
    unsigned weight =
        (unsigned)(atoi(padded + 2) + 1000 * (padded[0] - '0')); /* atoi: three digits */
    return weight <= 1000 ? weight : 0;
}

/* The highest weights of a list of names with parameters, by what is asked for. */
struct weights {
    unsigned text, openmetrics, gzip, identity, any;
    bool has_gzip, has_identity;
};

static void raise_to(unsigned *weight, unsigned other)
{
    *weight = other > *weight ? other : *weight;
}

static bool is(const char *text, const char *word)
{
    return strcasecmp(text, word) == 0;
}

static void judge_element(const char *element, struct weights *weights)
{
    char *name = part_of(element, ';', false), *rest = part_of(element, ';', true);
    char *version = strdup("");
    unsigned weight = 1000;

    while (rest) {
        char *parameter = part_of(rest, ';', false), *more = part_of(rest, ';', true);
        const char *equals = strchr(parameter, '=');
        if (equals && strncasecmp(parameter, "q=", 2) == 0)
            weight = judge_weight(equals + 1);
        if (equals && strncasecmp(parameter, "version=", 8) == 0) {
            free(version);
            version = strdup(equals + 1);
        }
        free(parameter);
        free(rest);
        rest = more;
    }
    if (is(name, "application/openmetrics-text") && (!*version || is(version, "1.0.0")))
        raise_to(&weights->openmetrics, weight);
    if (is(name, "*/*") || is(name, "text/*") ||
        (is(name, "text/plain") && (!*version || is(version, "0.0.4"))))
        raise_to(&weights->text, weight);
    if (is(name, "gzip") || is(name, "x-gzip")) {
        raise_to(&weights->gzip, weight);
        weights->has_gzip = true;
    } else if (is(name, "identity")) {
        raise_to(&weights->identity, weight);
        weights->has_identity = true;
    } else if (is(name, "*")) {
        raise_to(&weights->any, weight);
    }
    free(name);
    free(version);
}

static void check_accepted(const char *header)
{
    struct weights weights = {0};

    enum format format = negotiate(header);
    bool gzip = negotiate_gzip(header);
    if (strchr(header, '"')) /* a quoted separator is none; the product does not look for such */
        return;
    for (const char *at = header; *at;) {
        const char *end = strchrnul(at, ',');
        char *element = trimmed(at, end);
        judge_element(element, &weights);
        free(element);
        at = *end ? end + 1 : end;
    }
    if (!weights.has_gzip)
        weights.gzip = weights.any;
    fuzz_check((format == FORMAT_OPENMETRICS) ==
               (weights.openmetrics && weights.openmetrics >= weights.text));
    fuzz_check(gzip ==
               (weights.gzip && !(weights.has_identity && weights.identity > weights.gzip)));
    fuzz_check(strstr(format_type(format), format == FORMAT_TEXT ? "text/plain" : "openmetrics"));
}

/* ---- the client -------------------------------------------------------------------------- */

static bool is_host(const struct host *host, const char *address)
{
    struct host expected;

    fuzz_check(host_parse(address, &expected) == 0);
    expected = host_client(&expected);
    return memcmp(host, &expected, sizeof(expected)) == 0;
}

static struct http_client find_client(const char *from)
{
    struct network proxy;

    fuzz_check(network_parse(PROXY "/32", &proxy) == 0);
    request_fake_from(from);
    return http_client_find(request_fake(), &proxy, 1);
}

/* Find the client behind a proxy that appends its client to one header. */
static void check_appended(const char *name, const char *before, const char *after, bool must)
{
    char *value;

    request_fake_clear();
    fuzz_check(asprintf(&value, "%s%s", before, after) >= 0);
    request_fake_add(MHD_HEADER_KIND, name, value);
    struct http_client client = find_client(PROXY);
    if (!is_host(&client.host, CLIENT) && (must || !is_host(&client.host, PROXY)))
        fuzz_fail("%s: %s: a stranger has chosen the client", name, value);
    free(value);
}

static void check_client(const char *value)
{
    check_appended("X-Forwarded-For", value, ", " CLIENT, true);
    check_appended("X-Forwarded-For", value, "," PROXY ", " CLIENT ":1234, " PROXY, true);
    check_appended("Forwarded", value, ", for=" CLIENT, false);
    check_appended("Forwarded", value, ", for=\"" CLIENT ":80\";proto=https", false);
    request_fake_clear();
    request_fake_add(MHD_HEADER_KIND, "X-Forwarded-For", value);
    request_fake_add(MHD_HEADER_KIND, "Forwarded", value);
    request_fake_add(MHD_HEADER_KIND, "X-Real-IP", CLIENT); /* that is the proxy's */
    struct http_client client = find_client(PROXY);
    fuzz_check(is_host(&client.host, CLIENT) || is_host(&client.host, PROXY));
}

/* A stranger who connects is the client. */
static void check_stranger(void)
{
    struct http_client client = find_client(STRANGER);

    fuzz_check(is_host(&client.host, STRANGER));
    fuzz_check(!client.is_proxied && !client.is_secure);
    find_client("2001:db8::1");
    client = find_client(PROXY);
    fuzz_check(client.is_proxied);
}

/* ---- the whole --------------------------------------------------------------------------- */

static void check_list(const char *name)
{
    char small[8], large[1024];
    const char *found = http_request_header_list(request_fake(), name, small, sizeof(small));

    fuzz_check(!found || strlen(found) < sizeof(small));
    found = http_request_header_list(request_fake(), name, large, sizeof(large));
    fuzz_check((found != NULL) == (http_request_header(request_fake(), name) != NULL));
    http_websocket_is_asked(request_fake());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char *cookies[16];
    unsigned count = 0;
    char *last = strdup("");

    request_fake_clear();
    while (input.size > 0) {
        struct fuzz_input piece = fuzz_piece(&input, '\n');
        char *line = fuzz_text(piece), *value = strchr(line, ':');
        if (value) {
            *value++ = '\0';
            value += strspn(value, BLANKS);
            bool is_added = request_fake_add(MHD_HEADER_KIND, line, value);
            free(last);
            last = strdup(value);
            if (is_added && is(line, "Cookie") && count < LENGTH(cookies))
                cookies[count++] = strdup(value);
        }
        free(line);
    }
    if (count < LENGTH(cookies))
        check_cookie(cookies, count);
    check_list("Upgrade");
    check_stranger();
    check_accepted(last);
    check_client(last);
    while (count > 0)
        free(cookies[--count]);
    free(last);
    request_fake_clear();
    return 0;
}
