/* test_web_rooms.c - what members of rooms are told: slow ones, many, and while there is no number.
 * Sockets, the collector and requests are played. */
#include "../support/unit.h"

#include <errno.h>
#include <time.h>

#include "common/monotonic.h"
#include "http/http_websocket.h"
#include "limiter.h"
#include "outbound.h"
#include "rooms.h"
#include "touch.h"

#define MEMBERS   5000
#define PERIOD_NS (250 * NS_PER_MS)

/* A connection as the client sees it. */
struct http_websocket {
    const struct http_websocket_events *events;
    void *data;
    bool is_full; /* takes nothing */
    unsigned closed_with;
    unsigned messages;
    char last[128];
};

struct touch {
    void (*done)(void *context);
    void *context;
};

static struct {
    struct number number, polled; /* now, and at the last poll */
    bool touches_wait, counts;    /* in time */
    struct touch *touch;          /* the last one */
    int touches;
    unsigned leaves, heartbeats, sends, reads;
    struct room_request asked;
    struct http_websocket *socket; /* of the next connection */
    int64_t now_ns;
} world;

/* ---- what is played ------------------------------------------------------------------------- */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

bool __wrap_http_websocket_is_asked(const struct http_request *request)
{
    (void)request;
    return true;
}

enum MHD_Result __wrap_http_websocket_accept(struct http_request *request,
                                             const struct http_websocket_events *events, void *data,
                                             struct http_websocket **ret)
{
    (void)request;
    *world.socket = (struct http_websocket){.events = events, .data = data};
    *ret = world.socket;
    return MHD_YES;
}

int __wrap_http_websocket_send(struct http_websocket *socket, const char *text, size_t length)
{
    world.sends++;
    if (socket->closed_with)
        return -ENOTCONN;
    if (socket->is_full)
        return -ENOBUFS;
    assert_in_range(length, 1, sizeof(socket->last) - 1);
    memcpy(socket->last, text, length);
    socket->last[length] = '\0';
    socket->messages++;
    return 0;
}

void __wrap_http_websocket_close(struct http_websocket *socket, unsigned code, const char *reason)
{
    assert_int_equal(socket->closed_with, 0);
    assert_in_range(strlen(reason), 1, HTTP_WEBSOCKET_REASON_BYTES);
    socket->closed_with = code;
}

struct touch *__wrap_touch_begin(struct web *web, const struct heartbeat *heartbeat,
                                 const struct client *client, void (*done)(void *context),
                                 void *context)
{
    (void)web, (void)client;
    assert_int_equal(heartbeat->kind, PRESENCE_HEARTBEAT);
    world.touch = malloc(sizeof(*world.touch));
    assert_non_null(world.touch);
    *world.touch = (struct touch){done, context};
    world.touches++;
    return world.touch;
}

bool __wrap_touch_waits(const struct touch *touch)
{
    (void)touch;
    return world.touches_wait;
}

bool __wrap_touch_is_counted(const struct touch *touch)
{
    (void)touch;
    return world.counts;
}

void __wrap_touch_free(struct touch *touch)
{
    world.touches -= touch != NULL;
    free(touch);
}

void __wrap_live_count(struct live *live, const struct place *place, uint32_t window_s,
                       struct number *ret)
{
    (void)live, (void)place, (void)window_s;
    *ret = world.number;
    world.reads++;
}

bool __wrap_live_is_news(struct live *live, struct live_mark *mark)
{
    bool is_news = memcmp(&world.polled, &world.number, sizeof(world.polled)) != 0;

    (void)live;
    (void)mark;
    world.polled = world.number;
    return is_news;
}

struct totals *__wrap_live_totals(const struct live *live)
{
    (void)live;
    return NULL;
}

int __wrap_outbound_send(struct outbound *outbound, const struct heartbeat *heartbeat,
                         const char *country)
{
    (void)outbound, (void)country;
    world.leaves += heartbeat->kind == PRESENCE_LEAVE;
    world.heartbeats += heartbeat->kind == PRESENCE_HEARTBEAT;
    return 0;
}

bool __wrap_outbound_is_seen_since(const struct outbound *outbound,
                                   const struct heartbeat *heartbeat, int64_t sent_ns)
{
    (void)outbound, (void)heartbeat, (void)sent_ns;
    return false;
}

bool __wrap_rooms_parse_request(const struct web *web, struct http_request *request,
                                struct room_request *ret, enum MHD_Result *ret_result)
{
    (void)web, (void)request, (void)ret_result;
    *ret = world.asked;
    return true;
}

bool __wrap_request_open_stream(const struct web *web, const struct client *client, size_t places,
                                struct quota **ret, struct problem *problem)
{
    (void)problem;
    return limiter_open_stream(web->limiter, &client->host, places, ret) == 0;
}

/* ---- helpers -------------------------------------------------------------------------------- */

static struct web web;

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.number = (struct number){.known = true, .has_time = true, .count = 1};
    world.counts = true;
    world.asked = (struct room_request){.expires = INT64_MAX, .counts = true, .is_post = true};
    world.asked.heartbeat = (struct heartbeat){
        .kind = PRESENCE_HEARTBEAT, .place = {"example.com", "post:7"}, .visitor = "ann"};
    world.now_ns = monotonic_ns();
    web.limiter = limiter_new(&(struct limits){.max_streams = MEMBERS});
    web.rooms = rooms_new(&web);
    assert_true(web.limiter && web.rooms);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(limiter_streams(web.limiter), 0);
    assert_int_equal(world.touches, 0);
    rooms_free(web.rooms);
    limiter_free(web.limiter);
    return 0;
}

static void open_socket(struct http_websocket *socket)
{
    struct http_request request = {0};

    world.socket = socket;
    assert_int_equal(rooms_handle(&web, &request), MHD_YES);
}

static void close_socket(struct http_websocket *socket)
{
    socket->events->closed(socket->data);
}

static void say(struct http_websocket *socket, const char *text)
{
    socket->events->message(socket->data, text, strlen(text));
}

/* Let a period pass, after which the collector has this number. */
static void pass(uint64_t count)
{
    int64_t now_ns = monotonic_ns();

    world.number.count = count;
    world.now_ns = (world.now_ns > now_ns ? world.now_ns : now_ns) + PERIOD_NS;
    rooms_run_timers(web.rooms, world.now_ns);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_nothing_before_the_visitor_is_counted(void **state)
{
    (void)state;
    struct http_websocket ann;

    world.touches_wait = true;
    open_socket(&ann);
    pass(2);
    say(&ann, "{\"type\":\"ping\"}");
    assert_string_equal(ann.last, "{\"type\":\"pong\"}");
    pass(3);
    assert_int_equal(ann.messages, 1);
    world.number.count = 4;
    world.touch->done(world.touch->context);
    assert_string_equal(ann.last, "{\"type\":\"room_joined\",\"post_id\":7,\"viewers\":4}");
    assert_int_equal(ann.messages, 2);
    say(&ann, "{\"type\":\"ping\"}"); /* too soon */
    assert_int_equal(world.heartbeats, 0);
    close_socket(&ann);
}

static void answer_touch(void)
{
    struct touch *touch = world.touch;

    assert_non_null(touch);
    world.touch = NULL;
    touch->done(touch->context);
}

/* A collector that is late is asked again, but not for ever. */
static void test_counted_late(void **state)
{
    (void)state;
    struct http_websocket ann, bob;

    world.touches_wait = true;
    world.counts = false;
    open_socket(&ann);
    answer_touch();
    pass(1);
    answer_touch();
    pass(1);
    assert_int_equal(ann.messages, 0);
    world.counts = true;
    world.number.count = 2;
    answer_touch();
    assert_string_equal(ann.last, "{\"type\":\"room_joined\",\"post_id\":7,\"viewers\":2}");
    world.counts = false;
    open_socket(&bob);
    for (int i = 0; i < 19; i++) { /* by then a collector is stale that is held up */
        answer_touch();
        pass(2);
        assert_int_equal(bob.messages, 0);
    }
    answer_touch();
    assert_int_equal(bob.messages, 1);
    pass(2);
    assert_null(world.touch);
    close_socket(&ann);
    close_socket(&bob);
}

static void test_closed_while_it_waits(void **state)
{
    (void)state;
    struct http_websocket ann;

    world.touches_wait = true;
    open_socket(&ann);
    close_socket(&ann);
    assert_int_equal(ann.messages, 0);
}

static void test_slow_member(void **state)
{
    (void)state;
    struct http_websocket ann;

    open_socket(&ann);
    assert_int_equal(ann.messages, 1);
    ann.is_full = true;
    for (uint64_t count = 2; count < 20; count++)
        pass(count);
    say(&ann, "{\"type\":\"ping\"}");
    pass(5);
    assert_int_equal(ann.messages, 1);
    ann.is_full = false;
    ann.events->drained(ann.data);
    assert_int_equal(ann.messages, 3); /* the pong, and the last number */
    assert_string_equal(ann.last, "{\"type\":\"viewer_joined\",\"viewers\":5}");
    ann.events->drained(ann.data);
    assert_int_equal(ann.messages, 3);
    pass(4);
    assert_string_equal(ann.last, "{\"type\":\"viewer_left\",\"viewers\":4}");
    close_socket(&ann);
}

/* A member whom even the first message does not reach is told that they have joined later. */
static void test_slow_from_the_beginning(void **state)
{
    (void)state;
    struct http_websocket ann;

    world.touches_wait = true;
    open_socket(&ann);
    ann.is_full = true;
    world.touch->done(world.touch->context);
    pass(9);
    ann.is_full = false;
    ann.events->drained(ann.data);
    assert_string_equal(ann.last, "{\"type\":\"room_joined\",\"post_id\":7,\"viewers\":9}");
    close_socket(&ann);
}

/* Everybody hears of a change once, and of nothing else, whoever joins meanwhile. */
static void test_many_members(void **state)
{
    (void)state;
    struct http_websocket *sockets = calloc(MEMBERS, sizeof(*sockets));

    assert_non_null(sockets);
    for (unsigned i = 0; i < MEMBERS; i++) {
        snprintf(world.asked.heartbeat.visitor, sizeof(world.asked.heartbeat.visitor), "v%u", i);
        world.number.count = i + 1;
        open_socket(&sockets[i]);
        assert_int_equal(world.sends, i + 1); /* only the one who joins is told at once */
    }
    world.sends = 0;
    pass(MEMBERS);
    assert_int_equal(world.sends, MEMBERS - 1); /* all but the last one, who knows */
    world.sends = world.reads = 0;
    for (int i = 0; i < 8; i++)
        pass(MEMBERS);
    rooms_run_timers(web.rooms, world.now_ns + PERIOD_NS / 2);
    assert_int_equal(world.sends + world.reads, 0);
    for (unsigned i = 0; i < MEMBERS; i++) {
        assert_in_range(sockets[i].messages, 1, 2);
        close_socket(&sockets[i]);
    }
    free(sockets);
}

static void test_stale(void **state)
{
    (void)state;
    struct http_websocket ann;

    open_socket(&ann);
    world.number.stale = world.number.may_be_restart = true;
    pass(0);
    pass(0);
    assert_int_equal(ann.closed_with, 0);
    world.number.may_be_restart = false;
    pass(0);
    assert_int_equal(ann.closed_with, 1013);
    pass(0); /* it is not closed twice */
    assert_int_equal(ann.messages, 1);
    close_socket(&ann);
    rooms_run_timers(web.rooms, INT64_MAX / 2);
    assert_int_equal(world.leaves, 0);
}

static void test_unknown(void **state)
{
    (void)state;
    struct http_websocket ann;

    world.number.pending = true; /* is never read */
    open_socket(&ann);
    for (int i = 0; i < 24; i++)
        pass(0);
    assert_int_equal(ann.closed_with, 1013);
    close_socket(&ann);
    world.number.pending = world.number.known = false;
    open_socket(&ann);
    for (int i = 0; i < 16; i++)
        pass(0);
    assert_int_equal(ann.closed_with, 0);
    world.number.known = true;
    pass(2);
    assert_string_equal(ann.last, "{\"type\":\"room_joined\",\"post_id\":7,\"viewers\":2}");
    world.number.known = false;
    for (int i = 0; i < 16; i++)
        pass(0);
    assert_int_equal(ann.closed_with, 0);
    for (int i = 0; i < 16; i++)
        pass(0);
    assert_int_equal(ann.closed_with, 1013);
    close_socket(&ann);
}

static void test_warming(void **state)
{
    (void)state;
    struct http_websocket ann;

    world.number.count = 5;
    open_socket(&ann);
    world.number.warming = true;
    pass(3);
    assert_int_equal(ann.messages, 1);
    pass(6);
    assert_string_equal(ann.last, "{\"type\":\"viewer_joined\",\"viewers\":6}");
    pass(4);
    assert_string_equal(ann.last, "{\"type\":\"viewer_left\",\"viewers\":4}");
    world.number.warming = false;
    pass(2);
    assert_string_equal(ann.last, "{\"type\":\"viewer_left\",\"viewers\":2}");
    close_socket(&ann);
}

static void test_token(void **state)
{
    (void)state;
    struct http_websocket ann, refused;

    world.asked.expires = time(NULL);
    open_socket(&ann);
    pass(1);
    assert_int_equal(ann.closed_with, 1008);
    strcpy(world.asked.refusal, "why");
    open_socket(&refused);
    assert_int_equal(refused.closed_with, 1008);
    say(&refused, "{\"type\":\"ping\"}");
    refused.events->drained(refused.data);
    pass(2);
    assert_int_equal(refused.messages + world.heartbeats, 0);
    close_socket(&refused);
    close_socket(&ann);
    rooms_run_timers(web.rooms, INT64_MAX / 2);
    assert_int_equal(world.leaves, 2); /* of the room and of the site */
}

static void test_the_end(void **state)
{
    (void)state;
    struct http_websocket ann, bob;

    open_socket(&ann);
    open_socket(&bob);
    rooms_end(web.rooms);
    assert_int_equal(ann.closed_with, 1001);
    close_socket(&ann);
    close_socket(&bob);
    rooms_run_timers(web.rooms, INT64_MAX / 2);
    assert_int_equal(world.leaves, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_nothing_before_the_visitor_is_counted),
        test(test_counted_late),
        test(test_closed_while_it_waits),
        test(test_slow_member),
        test(test_slow_from_the_beginning),
        test(test_many_members),
        test(test_stale),
        test(test_unknown),
        test(test_warming),
        test(test_token),
        test(test_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
