#include "heartbeat.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- JSON ----------------------------------------------------------------------------------- */

/* Return the UTF-16 code unit of an escape, \uXXXX, or -1 if it is none. */
static int parse_escape(const char *escape, const char *end)
{
    char digits[5] = {0};

    if (end - escape < 6 || escape[0] != '\\' || escape[1] != 'u')
        return -1;
    memcpy(digits, escape + 2, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? (int)strtol(digits, NULL, 16) : -1;
}

static bool is_within(int unit, int first, int last)
{
    return unit >= first && unit <= last;
}

/* Replace lone surrogates with zero bytes. */
static void replace_surrogates(char *json, size_t length)
{
    const char *end = json + length;

    for (char *at = json; at < end; at++) {
        if (*at != '\\')
            continue;
        int unit = parse_escape(at, end), next = unit < 0 ? -1 : parse_escape(at + 6, end);
        if (is_within(unit, 0xd800, 0xdbff) && is_within(next, 0xdc00, 0xdfff))
            at += 11; /* skip a valid pair */
        else if (is_within(unit, 0xd800, 0xdfff))
            memcpy(at + 2, "0000", 4);
        else
            at++; /* skip the escaped character */
    }
}

/* Parse JSON. A lone surrogate, as a script leaves by cutting a text, becomes a zero byte: that
 * spoils one field and not all others. Return NULL on an error or if there is no memory. */
static json_t *parse_json(const char *json, size_t length, json_error_t *ret_error)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *parsed = json_loadb(json, length, flags, ret_error);
    char *copy = parsed ? NULL : malloc(length + 1);

    if (!copy)
        return parsed;
    memcpy(copy, json, length);
    replace_surrogates(copy, length);
    if (memcmp(copy, json, length) != 0)
        parsed = json_loadb(copy, length, flags, ret_error);
    free(copy);
    return parsed;
}

/* Get the fields of a JSON object; they point into it. */
static bool parse_fields(json_t *object, struct heartbeat_fields *ret, struct problem *problem)
{
    struct heartbeat_fields fields = {.hold_s = -1};
    const json_t *hold = json_object_get(object, "hold");
    const struct {
        const char *name, **value;
        bool is_label; /* left out if it is no name */
    } known[] = {
        {"site", &fields.site, false},   {"visitor", &fields.visitor, false},
        {"room", &fields.room, true},    {"source", &fields.source, true},
        {"kind", &fields.kind, false},   {"event", &fields.event, false},
        {"token", &fields.token, false},
    };

    if (!json_is_object(object))
        return problem_bad_request(problem, "send a JSON object, such as {\"site\":\"example.com\","
                                            "\"visitor\":\"3f2a\"}");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        json_t *value = json_object_get(object, known[i].name);
        if (value && !json_is_string(value) && !json_is_null(value))
            return problem_bad_request(problem, "%s must be a string", known[i].name);
        *known[i].value = json_string_value(value);
        if (!value || !json_is_string(value) ||
            strlen(*known[i].value) == json_string_length(value))
            continue;
        if (!known[i].is_label)
            return problem_bad_request(problem, "%s holds a zero byte or half a character",
                                       known[i].name);
        *known[i].value = HTTP_NO_TEXT;
    }
    if (json_is_number(hold) && json_number_value(hold) >= 0)
        fields.hold_s = json_number_value(hold);
    else if (hold && !json_is_null(hold))
        return problem_bad_request(problem, "hold must be a number of seconds from 0 to 30");
    *ret = fields;
    return true;
}

/* ---- fields --------------------------------------------------------------------------------- */

struct heartbeat_fields heartbeat_query_fields(const struct http_request *request)
{
    return (struct heartbeat_fields){
        .site = http_request_query(request, "site"),
        .visitor = http_request_query(request, "visitor"),
        .room = http_request_query(request, "room"),
        .source = http_request_query(request, "source"),
        .kind = http_request_query(request, "kind"),
        .event = http_request_query(request, "event"),
        .token = http_request_query(request, "token"),
        .hold_s = -1,
    };
}

static bool is_given(const char *field)
{
    return field && *field;
}

static bool parse_kind(const struct heartbeat_fields *fields, struct heartbeat *heartbeat,
                       struct problem *problem)
{
    static const char *const names[] = {
        [PRESENCE_HEARTBEAT] = "heartbeat",
        [PRESENCE_LEAVE] = "leave",
        [PRESENCE_PAGEVIEW] = "pageview",
        [PRESENCE_EVENT] = "event",
    };
    const char *kind = is_given(fields->kind)    ? fields->kind
                       : is_given(fields->event) ? "event"
                                                 : "heartbeat";

    for (int i = PRESENCE_HEARTBEAT; i <= PRESENCE_EVENT; i++) {
        if (strcmp(kind, names[i]) == 0)
            heartbeat->kind = (enum presence_heartbeat_kind)i;
    }
    if (!heartbeat->kind)
        return problem_bad_request(problem, "kind must be heartbeat, leave, pageview or event");
    if (is_given(fields->event) != (heartbeat->kind == PRESENCE_EVENT))
        return problem_bad_request(problem, "event must be given with kind event, and only there");
    if (is_given(fields->event)) {
        if (!place_is_name(fields->event, PLACE_EVENT_MAX))
            return problem_bad_request(
                problem, "event must have 1 to 63 bytes of UTF-8 without control characters");
        strcpy(heartbeat->event, fields->event);
    }
    return true;
}

bool heartbeat_names_visitor(const char *visitor)
{
    size_t length;
    const char *id = place_trim(visitor ? visitor : "", &length);

    return place_is_visitor(id, length) || length > PLACE_ID_MAX;
}

static bool parse_visitor(const char *visitor, struct heartbeat *heartbeat, struct problem *problem)
{
    size_t length;
    const char *id = place_trim(visitor ? visitor : "", &length);

    if (!place_is_visitor(id, length) || (length == 1 && strchr("-" HTTP_NO_TEXT, *id)))
        return problem_bad_request(
            problem, "visitor must be an id of 1 to 512 bytes, and not -, undefined, null, NaN or "
                     "the UUID of zeros");
    memcpy(heartbeat->visitor, id, length);
    heartbeat->visitor[length] = '\0';
    return true;
}

static bool check_fields(const struct web *web, const struct heartbeat_fields *fields,
                         struct heartbeat *ret, struct problem *problem)
{
    struct heartbeat heartbeat = {0};

    if (!request_parse_site(web, fields->site, &heartbeat.place, problem) ||
        !parse_visitor(fields->visitor, &heartbeat, problem) ||
        !parse_kind(fields, &heartbeat, problem))
        return false;
    if (is_given(fields->room) && !place_parse_room(fields->room, heartbeat.place.room) &&
        heartbeat.kind == PRESENCE_LEAVE)
        return problem_bad_request(
            problem, "room must have at most 255 bytes of UTF-8 without control characters");
    if (is_given(fields->source) && place_is_name(fields->source, PLACE_SOURCE_MAX))
        strcpy(heartbeat.source, fields->source);
    heartbeat.hold_s = fields->hold_s < 0                    ? -1
                       : fields->hold_s > HEARTBEAT_HOLD_MAX ? HEARTBEAT_HOLD_MAX
                                                             : (int)(fields->hold_s + 0.5);
    *ret = heartbeat;
    return true;
}

/* ---- nobody looks at the page --------------------------------------------------------------- */

/* Words in the User-Agent of bots that name themselves, and in no browser's ("bot " is in some:
 * Cubot makes telephones). curl and HTTP libraries are missing on purpose: a server may use them to
 * report its visitors. */
static const char *const words[] = {
    "bot/",
    "bot;",
    "bot)",
    "bots",
    "crawl",
    "spider",
    "slurp",
    "archiver",
    "facebookexternalhit",
    "meta-externalagent",
    "mediapartners",
    "adsbot",
    "apis-google",
    "google-read-aloud",
    "google-inspectiontool",
    "googleother",
    "google favicon",
    "bingpreview",
    "linkpreview",
    "preview/",
    "embedly",
    "whatsapp/",
    "skypeuripreview",
    "vkshare",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "monitor",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "headless",
    "phantomjs",
    "prerender",
    "validator",
    "feedfetcher",
    "feedly",
    "wget/",
    "httrack",
    "scrapy",
    "nutch",
    "heritrix",
    "dataprovider",
    "semrush",
    "ahrefs",
    "chatgpt",
    "gptbot",
    "oai-search",
    "claude-",
    "anthropic-ai",
    "perplexity",
    "bytespider",
    "petalbot",
};

/* A few hundred User-Agents send nearly all requests. Cache the verdicts: a search for all words
 * takes as long as parsing the rest of a heartbeat. */
#define CACHED 1024 /* a power of two */

static bool search_words(const char *user_agent)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasestr(user_agent, words[i]))
            return true;
    }
    size_t length = strlen(user_agent);
    return length >= 3 && strcasecmp(user_agent + length - 3, "bot") == 0;
}

/* True if a User-Agent, which may be NULL, names itself as a crawler, a previewer, a monitor or a
 * headless browser. */
static bool is_from_bot(const char *user_agent)
{
    static struct {
        uint64_t hash;
        bool is_bot;
    } cache[CACHED];

    if (!user_agent)
        return false;
    uint64_t hash = XXH3_64bits(user_agent, strlen(user_agent));
    if (cache[hash % CACHED].hash != hash) {
        cache[hash % CACHED].is_bot = search_words(user_agent);
        cache[hash % CACHED].hash = hash;
    }
    return cache[hash % CACHED].is_bot;
}

/* True if the page is prefetched or prerendered. Browsers say so in the first header, old ones and
 * libraries in the others. */
static bool is_prefetch(const struct http_request *request)
{
    static const char *const headers[] = {"Sec-Purpose", "Purpose", "X-Purpose", "X-Sec-Purpose",
                                          "X-Moz"};

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        const char *purpose = http_request_header(request, headers[i]);
        if (purpose && (strcasestr(purpose, "prefetch") || strcasestr(purpose, "preview")))
            return true;
    }
    return false;
}

/* ---- heartbeats ----------------------------------------------------------------------------- */

bool heartbeat_parse_permitted(const struct web *web, const struct http_request *request,
                               const struct heartbeat_fields *fields, struct heartbeat *ret,
                               struct problem *problem)
{
    if (!check_fields(web, fields, ret, problem))
        return false;
    ret->is_from_bot =
        !web->options.count_bots && is_from_bot(http_request_header(request, "User-Agent"));
    ret->is_prefetch = is_prefetch(request);
    return true;
}

bool heartbeat_parse(const struct web *web, const struct http_request *request,
                     const struct heartbeat_fields *fields, struct heartbeat *ret,
                     struct problem *problem)
{
    struct heartbeat heartbeat;
    int64_t expires;

    if (!heartbeat_parse_permitted(web, request, fields, &heartbeat, problem))
        return false;
    const struct token_use use = {
        .place = &heartbeat.place,
        .visitor = heartbeat.visitor,
        .leaves_site = heartbeat_leaves_site(&heartbeat),
    };
    if (!request_may_use(web, request, fields->token, &use, &expires, problem))
        return false;
    *ret = heartbeat;
    return true;
}

bool heartbeat_parse_body(const struct web *web, const struct http_request *request,
                          struct heartbeat *ret, struct problem *problem)
{
    struct heartbeat_fields fields;
    json_error_t error;
    json_t *body = parse_json(request->body, request->body_length, &error);

    if (!body)
        return problem_bad_request(problem, "the body is not JSON in UTF-8 (at byte %d)",
                                   error.position);
    bool parsed = parse_fields(body, &fields, problem) &&
                  heartbeat_parse(web, request, &fields, ret, problem);
    json_decref(body);
    return parsed;
}

struct presence_place heartbeat_place(const struct heartbeat *heartbeat, const char *country)
{
    return (struct presence_place){
        .kind = heartbeat->kind,
        .site = heartbeat->place.site,
        .room = heartbeat->place.room,
        .country = country,
        .source = heartbeat->source,
        .event = heartbeat->event,
    };
}
