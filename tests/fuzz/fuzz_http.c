/* fuzz_http.c - bytes that a client sends to presence-web: requests with their paths, parameters,
 * headers and bodies, streams and WebSockets. The whole program runs in this thread, with a
 * collector that gets its heartbeats.
 *
 * The first byte of an input chooses the options. What is answered is checked by play.c. */
#include "../unit/reader_fixture.h"

int web_main(int argc, char **argv);
#define main web_main
#include "../../tools/presence-web/main.c"
#undef main

#include "play.h"

#define API_KEY "0123456789abcdef"
#define JWT_KEY "0123456789abcdef0123456789abcdef"

static const struct segment_settings settings = {.max_entries = 20000,
                                                 .max_scopes = 512,
                                                 .max_window = 3600,
                                                 .warm_up = 90,
                                                 .max_histories = 4,
                                                 .max_streams = 4,
                                                 .max_events = 256};

/* presence-web, its collector and the way between them. */
static struct {
    struct fixture fixture;
    struct web web;
    struct play play;
    int collector;  /* socket */
    uint64_t ahead; /* s: the collector's clock, of the machine's */
} site;

void __wrap_log_line(const char *format, ...);

void __wrap_log_line(const char *format, ...)
{
    (void)format;
}

/* Count what presence-web has sent. */
static void deliver(void)
{
    static uint8_t datagram[65536];
    ssize_t length;

    while ((length = recv(site.collector, datagram, sizeof(datagram), MSG_DONTWAIT)) > 0) {
        ingest_begin(site.fixture.ingest);
        ingest_datagram(site.fixture.ingest, datagram, (uint32_t)length);
        ingest_end(site.fixture.ingest);
    }
}

static void turn_site(void *data)
{
    (void)data;
    uint64_t before = site.fixture.now;
    site.fixture.now = clock_boottime(NULL) + site.ahead;
    if (site.fixture.now != before)
        collector_maintain(site.fixture.collector);
    deliver();
    run_timers(&site.web);
}

/* ---- options ----------------------------------------------------------------------------- */

static void clear_list(struct option_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct option_list){0};
}

static void set_list(struct option_list *list, const char *item)
{
    clear_list(list);
    if (!item)
        return;
    list->items = malloc(sizeof(char *));
    list->items[0] = strdup(item);
    list->count = 1;
}

static void set_secret(struct secrets *secrets, const char *secret)
{
    secrets_free(secrets);
    if (secret)
        secrets->items[secrets->count++] = strdup(secret);
}

/* Choose options by the bits of a byte. */
static void choose(unsigned bits)
{
    struct options *options = &site.web.options;

    set_secret(&site.web.api_keys, bits & 1 ? API_KEY : NULL);
    set_secret(&site.web.jwt_keys, bits & 2 ? JWT_KEY : NULL);
    set_list(&options->origins, bits & 4 ? "https://example.com" : NULL);
    set_list(&options->sites, bits & 8 ? "example.com" : NULL);
    options->proxy_count = bits & 16 ? 1 : 0;
    options->count_bots = bits & 32;
}

/* ---- opening ----------------------------------------------------------------------------- */

static void open_collector(char target[32])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);

    fixture_open(&site.fixture, settings);
    for (unsigned i = 0; i < 20; i++) {
        static const uint8_t kinds[] = {WIRE_HEARTBEAT, WIRE_PAGEVIEW, WIRE_EVENT, WIRE_LEAVE};
        char visitor[16];
        snprintf(visitor, sizeof(visitor), "%u", i / 2);
        fixture_deliver(&site.fixture, kinds[i % LENGTH(kinds)], visitor, "example.com",
                        i % 2 ? "/a" : "/b", "DE", "news.example");
        fixture_advance(&site.fixture, 10);
        collector_maintain(site.fixture.collector);
    }
    site.ahead = site.fixture.now - clock_boottime(NULL);
    site.collector = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fuzz_check(bind(site.collector, (struct sockaddr *)&address, length) == 0);
    fuzz_check(getsockname(site.collector, (struct sockaddr *)&address, &length) == 0);
    snprintf(target, 32, "127.0.0.1:%u", ntohs(address.sin_port));
}

static void close_site(void)
{
    choose(0);
    site.web.ending = true;
    streams_end(site.web.streams);
    rooms_end(site.web.rooms);
    touches_end(site.web.touches);
    for (int i = 0; i < LAST_TURNS; i++)
        http_server_turn(site.play.server, 1);
    http_server_stop(site.play.server);
    close_parts(&site.web);
    options_free(&options_table, &site.web.options);
    close(site.collector);
    fixture_close(&site.fixture);
}

/* Start everything, as presence-web's run() does. */
static void open_site(void)
{
    static struct http_route *routes;
    char target[32];
    struct option_use use;
    size_t count;

    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort, too */
    open_collector(target);
    const char *const words[] = {"presence-web",
                                 "--to",
                                 target,
                                 "--segment",
                                 site.fixture.scratch.path,
                                 "--client-rate=0",
                                 "--max-streams=100",
                                 "--client-streams=0",
                                 "--site-alias=42=example.com",
                                 "--rest-site=example.com",
                                 "--trusted-proxy=127.0.0.1",
                                 "--country-header=X-Country",
                                 NULL};
    char *argv[LENGTH(words)];
    int argc = fuzz_command_line(words, argv);
    fuzz_check(options_parse(&options_table, argc, argv, &site.web.options, &use) == OPTION_RUN);
    fuzz_check(open_parts(&site.web) == 0);
    routes = routes_new(&site.web.options, &count);
    site.play = (struct play){.socket = play_listen(), .turn = turn_site};
    fuzz_check(start_server(&site.web, &site.play.socket, routes, count, &site.play.server) == 0);
    atexit(close_site);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};

    if (!site.play.server)
        open_site();
    choose((unsigned)fuzz_number(&input, 1));
    play_client(&site.play, input);
    return 0;
}
