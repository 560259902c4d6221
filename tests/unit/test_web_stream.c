/* test_web_stream.c - streams of numbers: what each is sent, and when it ends. The server, the
 * collector and the clock are played. */
#include "../support/unit.h"

#include <time.h>

#include "common/monotonic.h"
#include "limiter.h"
#include "request.h"
#include "stream.h"

#define NOW       1767225600
#define PERIOD_NS (250 * NS_PER_MS)

/* A stream as libmicrohttpd sees it. */
struct connection {
    MHD_ContentReaderCallback read;
    MHD_ContentReaderFreeCallback free;
    void *stream;
    bool is_suspended;
};

static struct {
    uint64_t counts[REQUEST_PLACES_MAX];
    bool is_news;
    const char *last_event_id;
    time_t now;
    struct request_places asked;
    struct connection connection; /* of the next stream */
    int64_t now_ns;
} world;

static struct web web;

/* ---- what is played -------------------------------------------------------------------------- */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

void __wrap_live_count(struct live *live, const struct place *place, uint32_t window_s,
                       struct number *ret)
{
    (void)live, (void)window_s;
    *ret = (struct number){
        .known = true, .has_time = true, .count = world.counts[atoi(place->room + 1)]};
}

bool __wrap_live_is_news(struct live *live, struct live_mark *mark)
{
    bool is_news = world.is_news;

    (void)live, (void)mark;
    world.is_news = false;
    return is_news;
}

bool __wrap_request_parse_places(const struct web *from, const struct http_request *request,
                                 struct request_places *ret, struct problem *problem)
{
    (void)from, (void)request, (void)problem;
    *ret = world.asked;
    return true;
}

struct client __wrap_request_client(const struct web *from, const struct http_request *request)
{
    (void)from, (void)request;
    return (struct client){.is_secure = true};
}

const char *__wrap_http_request_header(const struct http_request *request, const char *name)
{
    (void)request;
    return strcmp(name, "Last-Event-ID") == 0 ? world.last_event_id : NULL;
}

const char *__wrap_http_request_query(const struct http_request *request, const char *name)
{
    (void)request, (void)name;
    return NULL;
}

void __wrap_http_request_streams(struct http_request *request)
{
    (void)request;
}

enum MHD_Result __wrap_respond(const struct web *from, struct http_request *request,
                               unsigned status, struct MHD_Response *response)
{
    (void)from, (void)request, (void)response;
    assert_int_equal(status, MHD_HTTP_OK);
    return MHD_YES;
}

const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type,
                                                               ...)
{
    static const union MHD_ConnectionInfo info = {.connect_fd = -1};

    (void)connection, (void)type;
    return &info;
}

struct MHD_Response *__wrap_MHD_create_response_from_callback(uint64_t size, size_t block,
                                                              MHD_ContentReaderCallback read,
                                                              void *context,
                                                              MHD_ContentReaderFreeCallback end)
{
    (void)size, (void)block;
    world.connection = (struct connection){read, end, context, false};
    return (struct MHD_Response *)&world;
}

enum MHD_Result __wrap_MHD_add_response_header(struct MHD_Response *response, const char *name,
                                               const char *value)
{
    (void)response, (void)name, (void)value;
    return MHD_YES;
}

void __wrap_MHD_suspend_connection(struct MHD_Connection *connection)
{
    ((struct connection *)connection)->is_suspended = true;
}

void __wrap_http_server_resume(struct http_server *server, struct MHD_Connection *connection)
{
    (void)server;
    ((struct connection *)connection)->is_suspended = false;
}

time_t __wrap_time(time_t *ret)
{
    (void)ret;
    return world.now;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.now = NOW;
    world.now_ns = monotonic_ns();
    web.limiter = limiter_new(&(struct limits){.max_streams = 100});
    assert_non_null(web.limiter);
    assert_int_equal(streams_open(&web, &web.streams), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(limiter_streams(web.limiter), 0);
    assert_int_equal(limiter_places(web.limiter), 0);
    streams_close(web.streams);
    limiter_free(web.limiter);
    return 0;
}

/* Open a stream of the rooms /0, /1 ... */
static void open_stream(struct connection *connection, size_t places, int64_t expires)
{
    struct http_request request = {.connection = (struct MHD_Connection *)connection};

    world.asked = (struct request_places){.count = places, .expires = expires};
    for (size_t i = 0; i < places; i++) {
        strcpy(world.asked.places[i].site, "example.com");
        snprintf(world.asked.places[i].room, sizeof(world.asked.places[i].room), "/%zu", i);
    }
    assert_int_equal(streams_handle(&web, &request), MHD_YES);
    *connection = world.connection;
}

/* Read what a stream has to say, at most `size` bytes. NULL: it has ended. */
static const char *read_some(struct connection *connection, size_t size)
{
    static char text[8192];

    assert_true(size < sizeof(text));
    ssize_t length = connection->read(connection->stream, 0, text, size);
    if (length == MHD_CONTENT_READER_END_OF_STREAM)
        return NULL;
    assert_true(length >= 0);
    text[length] = '\0';
    return text;
}

static const char *read_all(struct connection *connection)
{
    return read_some(connection, 8000);
}

static void close_stream(struct connection *connection)
{
    connection->free(connection->stream);
}

/* Let a period pass. */
static void pass(void)
{
    int64_t now_ns = monotonic_ns();

    world.now_ns = (world.now_ns > now_ns ? world.now_ns : now_ns) + PERIOD_NS;
    world.is_news = true;
    streams_run_timers(web.streams, world.now_ns);
}

/* Read until nothing is left, and the stream is suspended. */
static void settle(struct connection *connection)
{
    while (*read_all(connection))
        ;
    assert_true(connection->is_suspended);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_changes(void **state)
{
    (void)state;
    struct connection connection;

    world.counts[0] = 7;
    open_stream(&connection, 1, INT64_MAX);
    const char *text = read_all(&connection);
    assert_memory_equal(text, "retry: 2000\n\nid: 7\nevent: count\ndata: {\"count\":7,", 48);
    settle(&connection);
    pass();
    assert_true(connection.is_suspended);
    world.counts[0] = 8;
    pass();
    assert_false(connection.is_suspended);
    assert_memory_equal(read_all(&connection), "id: 8\n", 6);
    settle(&connection);
    close_stream(&connection);
}

/* A client that has seen the number of the only place is not told it again; of several places it
 * may have missed others. */
static void test_resumed(void **state)
{
    (void)state;
    struct connection connection;

    world.counts[0] = 7;
    world.last_event_id = "7";
    open_stream(&connection, 1, INT64_MAX);
    assert_string_equal(read_all(&connection), "retry: 2000\n: resumed\n\n");
    settle(&connection);
    close_stream(&connection);
    open_stream(&connection, 2, INT64_MAX);
    const char *text = read_all(&connection);
    assert_non_null(strstr(text, "\"place\":0,\"count\":7"));
    assert_non_null(strstr(text, "\"place\":1,\"count\":0"));
    close_stream(&connection);
}

/* However often one place changes, the others get their turn. */
static void test_each_place_has_its_turn(void **state)
{
    (void)state;
    struct connection connection;

    open_stream(&connection, 3, INT64_MAX);
    settle(&connection);
    for (int i = 0; i < REQUEST_PLACES_MAX; i++)
        world.counts[i]++;
    pass();
    bool seen[3] = {false};
    for (int i = 0; i < 3; i++) {
        const char *text = read_some(&connection, 20); /* the beginning of an event */
        assert_non_null(text);
        for (char all[2048] = ""; !strstr(all, "\n\n");) {
            strcat(all, text);
            if (strstr(all, "\n\n")) {
                const char *place = strstr(all, "\"place\":");
                assert_non_null(place);
                seen[atoi(place + 8)] = true;
                break;
            }
            text = read_some(&connection, 1);
        }
        world.counts[0]++; /* it changes all the time */
        pass();
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    close_stream(&connection);
}

/* A stream ends in the second in which its token expires, and so do others later. */
static void test_expired(void **state)
{
    (void)state;
    struct connection first, second, lasting;

    open_stream(&first, 1, NOW + 10);
    open_stream(&second, 1, NOW + 20);
    open_stream(&lasting, 1, INT64_MAX);
    settle(&first);
    settle(&second);
    settle(&lasting);
    world.now = NOW + 9;
    pass();
    assert_true(first.is_suspended);
    world.now = NOW + 10;
    pass();
    assert_false(first.is_suspended);
    assert_null(read_all(&first));
    assert_true(second.is_suspended);
    close_stream(&first);
    world.now = NOW + 20;
    pass();
    assert_null(read_all(&second));
    close_stream(&second);
    pass();
    assert_true(lasting.is_suspended);
    streams_end(web.streams);
    assert_null(read_all(&lasting));
    close_stream(&lasting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resumed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_place_has_its_turn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_expired, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
