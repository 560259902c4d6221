#include "touches.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "intake.h"
#include "common/monotonic.h"
#include "show.h"

#define LOOK_NS     NS_PER_MS
#define SETTLE_NS   (2 * NS_PER_MS) /* from the table to the rings: the rest of a worker's batch */
#define NEVER_SEEN  UINT32_MAX
#define JUST_SEEN_S 1 /* so young that another heartbeat can't be told by the age */

/* A touch that waits to be answered. */
struct touch {
    TAILQ_ENTRY(touch) waiting;
    struct touches *touches;
    struct http_request *request;
    struct heartbeat heartbeat;
    uint32_t age_before_s;
    uint64_t accepted_before;
    struct number before;
    int64_t deadline_ns;
    int64_t seen_at_ns; /* 0: not yet */
    bool waits;
    bool counted;
};

struct touches {
    struct web *web;
    TAILQ_HEAD(, touch) waiting;
};

struct touches *touches_new(struct web *web)
{
    struct touches *touches = calloc(1, sizeof(*touches));

    if (!touches)
        return NULL;
    touches->web = web;
    TAILQ_INIT(&touches->waiting);
    return touches;
}

void touches_free(struct touches *touches)
{
    free(touches);
}

/* ---- waiting until it is counted --------------------------------------------------------- */

static uint32_t age_of(struct numbers *numbers, const struct heartbeat *heartbeat)
{
    struct presence *presence = numbers_presence(numbers);
    uint32_t age_s = NEVER_SEEN;

    if (presence)
        presence_seen(presence, heartbeat->place.site, heartbeat->visitor, &age_s);
    return age_s;
}

/* Has the visitor been seen since? One who was here just now looks as before; then it has to do
 * that datagrams were accepted. */
static bool is_seen(struct touch *touch)
{
    struct numbers *numbers = touch->touches->web->numbers;
    uint32_t age_s = age_of(numbers, &touch->heartbeat);

    if (age_s == NEVER_SEEN)
        return false;
    if (touch->age_before_s == NEVER_SEEN || touch->age_before_s > JUST_SEEN_S)
        return age_s < touch->age_before_s;
    return numbers_counter(numbers, "datagrams_accepted") > touch->accepted_before;
}

/* The table knows of a visitor a moment before the count does, which may have been without them: it
 * has risen, or has had the time to. */
static bool is_counted(struct touch *touch, int64_t now_ns)
{
    struct number number;

    if (!touch->seen_at_ns && is_seen(touch))
        touch->seen_at_ns = now_ns;
    if (!touch->seen_at_ns)
        return false;
    numbers_count(touch->touches->web->numbers, &touch->heartbeat.place, TOUCHES_WINDOW_S, &number);
    return (number.known && touch->before.known && number.count > touch->before.count) ||
           now_ns - touch->seen_at_ns >= SETTLE_NS;
}

static void stop_waiting(struct touch *touch)
{
    TAILQ_REMOVE(&touch->touches->waiting, touch, waiting);
    touch->waits = false;
    MHD_resume_connection(touch->request->connection);
}

/* libmicrohttpd: the request is over. */
static void free_touch(void *data)
{
    struct touch *touch = data;

    if (touch->waits)
        TAILQ_REMOVE(&touch->touches->waiting, touch, waiting);
    free(touch);
}

/* Remember how it was before the heartbeat arrives. NULL: no memory. */
static struct touch *new_touch(struct touches *touches, struct http_request *request,
                               const struct heartbeat *heartbeat)
{
    struct numbers *numbers = touches->web->numbers;
    struct touch *touch = calloc(1, sizeof(*touch));

    if (!touch)
        return NULL;
    touch->touches = touches;
    touch->request = request;
    touch->heartbeat = *heartbeat;
    touch->age_before_s = age_of(numbers, heartbeat);
    touch->accepted_before = numbers_counter(numbers, "datagrams_accepted");
    numbers_count(numbers, &heartbeat->place, TOUCHES_WINDOW_S, &touch->before);
    request->data = touch;
    request->release = free_touch;
    return touch;
}

static enum MHD_Result wait(struct touch *touch)
{
    touch->deadline_ns = monotonic_ns() + TOUCHES_WAIT_NS;
    touch->waits = true;
    TAILQ_INSERT_TAIL(&touch->touches->waiting, touch, waiting);
    MHD_suspend_connection(touch->request->connection);
    return MHD_YES;
}

int64_t touches_look(struct touches *touches, int64_t now_ns)
{
    for (struct touch *touch = TAILQ_FIRST(&touches->waiting), *next; touch; touch = next) {
        next = TAILQ_NEXT(touch, waiting);
        touch->counted = is_counted(touch, now_ns);
        if (touch->counted || now_ns >= touch->deadline_ns)
            stop_waiting(touch);
    }
    return TAILQ_EMPTY(&touches->waiting) ? INT64_MAX : now_ns + LOOK_NS;
}

void touches_end(struct touches *touches)
{
    while (!TAILQ_EMPTY(&touches->waiting))
        stop_waiting(TAILQ_FIRST(&touches->waiting));
}

/* ---- POST /touch ------------------------------------------------------------------------- */

static enum MHD_Result answer(const struct touch *touch)
{
    const struct web *web = touch->touches->web;
    struct place site = touch->heartbeat.place;
    struct number number, site_number;
    json_t *object = json_object();

    site.room[0] = '\0';
    numbers_count(web->numbers, &touch->heartbeat.place, TOUCHES_WINDOW_S, &number);
    numbers_count(web->numbers, &site, TOUCHES_WINDOW_S, &site_number);
    json_object_set_new(object, "count", show_count(&number));
    json_object_set_new(object, "site_count", show_count(&site_number));
    json_object_set_new(object, "counted", json_boolean(touch->counted));
    show_number(object, &touch->heartbeat.place, &number);
    return reply_json(web, touch->request, object);
}

static bool read_body(const struct web *web, const struct http_request *request,
                      struct heartbeat *ret, struct problem *problem)
{
    struct heartbeat_fields fields;
    json_error_t error;
    json_t *body = json_loadb(request->body, request->body_length,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (!body)
        return problem_set(problem, MHD_HTTP_BAD_REQUEST, "bad_request",
                           "the body is not JSON in UTF-8 (at byte %d)", error.position);
    bool read = heartbeat_fields_of_json(body, &fields, problem) &&
                intake_read(web, request, &fields, ret, problem);
    json_decref(body);
    return read;
}

enum MHD_Result touches_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct problem problem;
    struct heartbeat heartbeat;

    if (request->data)
        return answer(request->data);
    struct client client = client_of(web, request);
    if (!query_origin(web, request, &problem) || !intake_admit(web, &client, &problem) ||
        !read_body(web, request, &heartbeat, &problem))
        return reply_problem(web, request, &problem);
    struct touch *touch = new_touch(web->touches, request, &heartbeat);
    if (!touch)
        return MHD_NO;
    bool sent = intake_forward(web, request, &client, &heartbeat);
    if (!sent || heartbeat.kind == PRESENCE_LEAVE || touch->before.stale || web->ending)
        return answer(touch);
    return wait(touch);
}
