/* rest.c - answer the database function that pages call with Supabase's client to report a visitor
 * and get the count. Requests, answers and errors are PostgREST's. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "common/json_whole.h"
#include "common/text_stream.h"
#include "compat.h"
#include "response.h"
#include "totals.h"
#include "touch.h"

#define FUNCTION           "touch_website_active_visitor"
#define CALLS              REST_PATH "rpc/"
#define SCHEMA             "public"
#define VISITOR_CHARACTERS 128 /* code points; at most PLACE_ID_MAX bytes */
#define WINDOW_MINUTES     5

/* A call that waits until its visitor is counted. */
struct call {
    struct touch *touch;
    struct place place;
    uint32_t window_s;
};

/* ---- errors ---------------------------------------------------------------------------------- */

/* Return PostgREST's code, which its clients may know, for one of ours, or ours. */
static const char *code_of(const struct problem *problem)
{
    static const struct {
        const char *ours, *theirs;
    } codes[] = {
        {"token_missing", "PGRST302"},      {"token_invalid", "PGRST301"},
        {"token_expired", "PGRST301"},      {"token_other_place", "42501"},
        {"token_other_visitor", "42501"},   {"not_found", "PGRST125"},
        {"method_not_allowed", "PGRST117"},
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(problem->code, codes[i].ours) == 0)
            return codes[i].theirs;
    }
    return problem->code;
}

enum MHD_Result rest_respond_problem(const struct web *web, struct http_request *request,
                                     const struct problem *problem)
{
    return respond_problem_as(web, request, problem,
                              json_pack("{s:s,s:n,s:n,s:s}", "code", code_of(problem), "details",
                                        "hint", "message", problem->message));
}

/* True if an answer may repeat a name: a programmer may have mistyped an identifier. Other refused
 * input is never repeated. */
static bool is_identifier(const char *name)
{
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return length > 0 && length < 64 && !name[length];
}

static const char *show_name(const char *name)
{
    return is_identifier(name) ? name : "?";
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

/* Join the names of arguments, sorted as PostgREST does. Return NULL if there is no memory; the
 * caller frees it. */
static char *join_names(json_t *arguments)
{
    const char **names = calloc(json_object_size(arguments) + 1, sizeof(*names));
    size_t count = 0;
    const char *name;
    json_t *value;
    char *joined = NULL;
    struct text_stream stream;

    if (names && text_stream_open(&stream)) {
        json_object_foreach(arguments, name, value) names[count++] = name;
        qsort(names, count, sizeof(*names), compare_names);
        for (size_t i = 0; i < count; i++)
            fprintf(stream.out, "%s%s", i ? ", " : "", show_name(names[i]));
        joined = text_stream_close(&stream, NULL);
    }
    free(names);
    return joined;
}

/* Refuse a call of a function that does not exist, or not with these arguments. */
static enum MHD_Result refuse_function(const struct web *web, struct http_request *request,
                                       const char *name, json_t *arguments)
{
    static const struct problem problem = {.status = MHD_HTTP_NOT_FOUND};
    size_t count = json_object_size(arguments);
    char *names = join_names(arguments);

    if (!names)
        return MHD_NO;
    const char *function = show_name(name);
    json_t *error = json_pack(
        "{s:s,s:o,s:s,s:o}", "code", "PGRST202", "details",
        json_sprintf("Searched for the function " SCHEMA ".%s %s%s or with a single unnamed "
                     "json/jsonb parameter, but no matches were found in the schema cache.",
                     function,
                     count == 0   ? "without parameters"
                     : count == 1 ? "with parameter "
                                  : "with parameters ",
                     names),
        "hint",
        "Perhaps you meant to call the function " SCHEMA "." FUNCTION
        "(_visitor_id, _window_minutes)",
        "message",
        json_sprintf("Could not find the function " SCHEMA ".%s%s%s%s in the schema cache",
                     function, count ? "(" : " without parameters", names, count ? ")" : ""));
    free(names);
    return respond_problem_as(web, request, &problem, error);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static bool refuse_integer(struct problem *problem, const char *text)
{
    bool shown = text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "+-. ")] == '\0';

    return problem_set(problem, MHD_HTTP_BAD_REQUEST, "22P02",
                       "invalid input syntax for type integer%s%.40s%s", shown ? ": \"" : "",
                       shown ? text : "", shown ? "\"" : "");
}

/* Parse an integer of 32 bits as PostgreSQL does: it may be written as text. */
static bool parse_integer(const char *text, int32_t *ret, struct problem *problem)
{
    const char *blanks = " \t\n\v\f\r";
    const char *digits = text + strspn(text, blanks);
    size_t sign = *digits == '-' || *digits == '+';
    size_t count = strspn(digits + sign, "0123456789");

    if (!count || digits[sign + count + strspn(digits + sign + count, blanks)])
        return refuse_integer(problem, text);
    long long number = strtoll(digits, NULL, 10); /* clamped to its range */
    if (number < INT32_MIN || number > INT32_MAX)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "22003",
                           "value \"%.40s\" is out of range for type integer", text);
    *ret = (int32_t)number;
    return true;
}

/* Convert a value to text as PostgreSQL does where an argument wants one: a text is itself,
 * anything else its JSON, and null is NULL. The caller frees it. False if there is no memory. */
static bool convert(json_t *value, char **ret, struct problem *problem)
{
    char *text = NULL;

    if (value && !json_is_null(value)) {
        text = json_is_string(value)
                   ? strdup(json_string_value(value))
                   : json_whole_text(json_incref(value), JSON_COMPACT | JSON_ENCODE_ANY);
        if (!text)
            return problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "53200", "out of memory");
    }
    *ret = text;
    return true;
}

static bool parse_window(json_t *value, uint32_t *ret_s, struct problem *problem)
{
    int32_t minutes = WINDOW_MINUTES;
    char *text;

    if (!convert(value, &text, problem))
        return false;
    bool parsed = !text || parse_integer(text, &minutes, problem);
    free(text);
    if (!parsed)
        return false;
    if (minutes < 1)
        minutes = 1;
    if (minutes > REQUEST_MINUTES_MAX)
        minutes = REQUEST_MINUTES_MAX;
    *ret_s = (uint32_t)minutes * 60;
    return true;
}

static bool is_continuation(char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Trim and check an id as the function does. It trims spaces only. */
static bool parse_visitor(char *text, char ret[PLACE_ID_MAX + 1], struct problem *problem)
{
    char *id = text + strspn(text, " ");
    size_t length = strlen(id), characters = 0;

    while (length && id[length - 1] == ' ')
        length--;
    for (size_t i = 0; i < length; i++)
        characters += !is_continuation(id[i]);
    if (length == 0)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "P0001", "visitor_id is required");
    if (characters > VISITOR_CHARACTERS)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "P0001", "visitor_id is too long");
    memcpy(ret, id, length);
    ret[length] = '\0';
    return true;
}

/* Parse the arguments of the function. */
static bool parse_arguments(const json_t *arguments, char ret_visitor[PLACE_ID_MAX + 1],
                            uint32_t *ret_window_s, struct problem *problem)
{
    json_t *visitor = json_object_get(arguments, "_visitor_id");
    json_t *window = json_object_get(arguments, "_window_minutes");
    const json_t *texts[] = {visitor, window};

    for (size_t i = 0; i < 2; i++) {
        const char *text = json_string_value(texts[i]);
        if (text && strlen(text) != json_string_length(texts[i]))
            return problem_set(problem, MHD_HTTP_BAD_REQUEST, "22P05",
                               "unsupported Unicode escape sequence: \\u0000");
    }
    char *text;
    if (!parse_window(window, ret_window_s, problem) || !convert(visitor, &text, problem))
        return false;
    bool parsed = parse_visitor(text ? text : (char[]){""}, ret_visitor, problem);
    free(text);
    return parsed;
}

/* True if the visitor is among the arguments, and the function has all of them. */
static bool fit_function(const json_t *arguments)
{
    size_t known = json_object_get(arguments, "_visitor_id") != NULL;

    return known && json_object_size(arguments) ==
                        known + (json_object_get(arguments, "_window_minutes") != NULL);
}

/* Parse the body. One that is no object has no arguments. */
static bool parse_body(const struct http_request *request, json_t **ret, struct problem *problem)
{
    json_error_t error = {0};
    json_t *body = request->body_length ? json_loadb(request->body, request->body_length,
                                                     JSON_DECODE_ANY | JSON_ALLOW_NUL, &error)
                                        : json_object();

    if (!body && json_error_code(&error) == json_error_numeric_overflow)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "22003",
                           "a number is out of range: send a long _visitor_id as a string");
    if (!body)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "PGRST102", "Empty or invalid json");
    *ret = body;
    return true;
}

/* ---- the call -------------------------------------------------------------------------------- */

static enum MHD_Result respond_count(const struct web *web, struct http_request *request,
                                     const struct number *number)
{
    const char *prefer = http_request_header(request, "Prefer");
    char text[32];
    int length = snprintf(text, sizeof(text), "%llu", (unsigned long long)number->count);
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)length, text, MHD_RESPMEM_MUST_COPY);

    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "application/json; charset=utf-8");
    /* One row of as many as were asked for. */
    MHD_add_response_header(response, "Content-Range",
                            prefer && strstr(prefer, "count=") ? "0-0/1" : "0-0/*");
    MHD_add_response_header(response, "Access-Control-Expose-Headers", "Content-Range");
    return respond(web, request, MHD_HTTP_OK, response);
}

/* Answer a call whose visitor is counted, or will not be. */
static enum MHD_Result answer(const struct web *web, struct http_request *request,
                              const struct call *call)
{
    struct problem problem;
    struct number number;

    live_count(web->live, &call->place, call->window_s, &number);
    if (!api_is_fresh(web, &number, &problem))
        return rest_respond_problem(web, request, &problem);
    if (touch_is_counted(call->touch))
        return respond_count(web, request, &number);
    struct touch_reason reason = touch_explain(call->touch, &number);
    problem_set(&problem, MHD_HTTP_SERVICE_UNAVAILABLE, reason.code, "%s", reason.message);
    problem.retry_s = 5;
    return rest_respond_problem(web, request, &problem);
}

/* Answer a bot or a prefetch, which is not counted, with the number. */
static enum MHD_Result answer_onlooker(const struct web *web, struct http_request *request,
                                       const struct call *call)
{
    struct problem problem;
    struct number number;
    bool suspended = false;

    if (api_count_known(web, request, &call->place, call->window_s, &number, &suspended, &problem))
        return respond_count(web, request, &number);
    return suspended ? MHD_YES : rest_respond_problem(web, request, &problem);
}

static void release_call(void *data)
{
    struct call *call = data;

    touch_free(call->touch);
    free(call);
}

static enum MHD_Result begin_call(struct web *web, struct http_request *request,
                                  const struct heartbeat *heartbeat, const struct client *client,
                                  uint32_t window_s)
{
    struct call *call = calloc(1, sizeof(*call));

    if (!call)
        return MHD_NO;
    call->place = heartbeat->place;
    call->window_s = window_s;
    call->touch = touch_begin(web, heartbeat, client, touch_resume, request);
    if (!call->touch) {
        free(call);
        return MHD_NO;
    }
    request->data = call;
    request->release = release_call;
    if (!touch_waits(call->touch))
        return answer(web, request, call);
    touch_insist(call->touch, window_s);
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

/* True if the request has a token for the visitor, where one is needed. The key of a project, which
 * Supabase's client sends as the token of whoever has not signed in, is none. */
static bool may_touch(const struct web *web, const struct http_request *request,
                      const struct heartbeat *heartbeat, struct problem *problem)
{
    const struct token_use use = {.place = &heartbeat->place, .visitor = heartbeat->visitor};
    const char *key = http_request_header(request, "apikey");
    const char *token = request_bearer(request);
    int64_t expires;

    if (web->jwt_keys.count && key && token && strcmp(key, token) == 0)
        return problem_set(problem, MHD_HTTP_UNAUTHORIZED, "token_missing",
                           "the project's key is no token for this site: sign in, or send one in "
                           "Authorization");
    return request_may_use(web, request, NULL, &use, &expires, problem);
}

/* Parse a call of the function, with arguments that fit it, into what it reports. */
static bool parse_call(const struct web *web, const struct http_request *request,
                       const json_t *arguments, struct heartbeat *ret, uint32_t *ret_window_s,
                       struct problem *problem)
{
    const struct totals *totals = live_totals(web->live);
    char visitor[PLACE_ID_MAX + 1];
    struct place place;

    if (!parse_arguments(arguments, visitor, ret_window_s, problem) ||
        !request_parse_rest_site(web, &place, problem))
        return false;
    const struct heartbeat_fields fields = {.site = place.site, .visitor = visitor, .hold_s = -1};
    if (!heartbeat_parse_permitted(web, request, &fields, ret,
                                   problem)) /* only the id can be wrong */
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "P0001",
                           "visitor_id is required: -, undefined, null, NaN and the UUID of zeros "
                           "are none");
    if (!may_touch(web, request, ret, problem))
        return false;
    if (totals && !totals_has_window(totals, *ret_window_s))
        return problem_set(problem, MHD_HTTP_SERVICE_UNAVAILABLE, "window_unpublished",
                           "no totals are published for _window_minutes = %u: the windows are %s s",
                           *ret_window_s / 60, totals_windows(totals));
    return true;
}

static enum MHD_Result call_function(struct web *web, struct http_request *request,
                                     const struct client *client, json_t *arguments)
{
    const char *name = request->path + strlen(CALLS);
    struct heartbeat heartbeat;
    struct problem problem;
    uint32_t window_s = 0;

    if (strcmp(name, FUNCTION) != 0 || !fit_function(arguments))
        return refuse_function(web, request, name, arguments);
    if (!parse_call(web, request, arguments, &heartbeat, &window_s, &problem))
        return rest_respond_problem(web, request, &problem);
    if (heartbeat.is_from_bot || heartbeat.is_prefetch)
        return answer_onlooker(web, request,
                               &(struct call){.place = heartbeat.place, .window_s = window_s});
    return begin_call(web, request, &heartbeat, client, window_s);
}

static bool check_schema(const struct http_request *request, struct problem *problem)
{
    const char *schema = http_request_header(request, "Content-Profile");

    if (!schema || !*schema || strcmp(schema, SCHEMA) == 0)
        return true;
    return problem_set(problem, MHD_HTTP_NOT_ACCEPTABLE, "PGRST106",
                       "Invalid schema: only " SCHEMA " is exposed");
}

/* ---- routes ---------------------------------------------------------------------------------- */

enum MHD_Result rest_call(void *context, struct http_request *request)
{
    struct web *web = context;
    enum MHD_Result result;
    struct client client;
    struct problem problem;
    json_t *arguments = NULL;

    if (request->data && request->release == release_call)
        return answer(web, request, request->data);
    if (!request_admit(web, request, &client, &problem) || !check_schema(request, &problem) ||
        !parse_body(request, &arguments, &problem))
        return rest_respond_problem(web, request, &problem);
    result = call_function(web, request, &client, arguments);
    json_decref(arguments);
    return result;
}

enum MHD_Result rest_refuse(void *context, struct http_request *request)
{
    const char *name = request->path + strlen(REST_PATH);
    const struct web *web = context;
    struct problem problem;

    if (strcmp(request->path, CALLS FUNCTION) == 0) {
        problem_set(&problem, MHD_HTTP_METHOD_NOT_ALLOWED, "25006",
                    "cannot execute INSERT in a read-only transaction: call the function by POST");
        problem.allow = "POST, OPTIONS";
    } else if (strncmp(request->path, CALLS, strlen(CALLS)) == 0) {
        return refuse_function(web, request, request->path + strlen(CALLS), NULL);
    } else {
        problem_set(&problem, MHD_HTTP_NOT_FOUND, "PGRST205",
                    "Could not find the table '" SCHEMA ".%s' in the schema cache",
                    show_name(name));
    }
    return rest_respond_problem(web, request, &problem);
}

/* Return the headers that a page wants to send, or NULL: what PostgREST allows is any. Clients of
 * several versions send different ones, and applications add their own. */
static const char *wanted_headers(const struct http_request *request)
{
    const char *headers = http_request_header(request, "Access-Control-Request-Headers");
    size_t length = headers ? strspn(headers, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789-_, ")
                            : 0;

    return length > 0 && !headers[length] ? headers : NULL;
}

enum MHD_Result rest_preflight(void *context, struct http_request *request)
{
    return respond_preflight(context, request, "POST, OPTIONS", wanted_headers(request));
}
