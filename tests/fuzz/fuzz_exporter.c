/* fuzz_exporter.c - bytes that a client sends to presence-exporter, which runs in this thread and
 * asks for a password. */
#include "../unit/reader_fixture.h"

int exporter_main(int argc, char **argv);
#define main exporter_main
#include "../../tools/presence-exporter/main.c"
#undef main

#include "play.h"

static const struct segment_settings settings = {.max_entries = 100,
                                                 .max_scopes = 16,
                                                 .max_window = 3600,
                                                 .warm_up = 90,
                                                 .max_histories = 4,
                                                 .max_streams = 4,
                                                 .max_events = 64};

/* The password of `user` is `password`, at bcrypt's lowest cost. */
static const char users[] = "basic_auth_users:\n"
                            "  user: $2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm\n"
                            "http_server_config: {headers: {X-Frame-Options: deny}}\n";

static struct {
    struct fixture fixture;
    struct exporter exporter;
    struct play play;
    char web_config[sizeof(((struct scratch *)0)->path) + 8];
} page;

void __wrap_log_line(const char *format, ...);

void __wrap_log_line(const char *format, ...)
{
    (void)format;
}

static void turn_page(void *data)
{
    (void)data;
    usleep(200); /* while a thread checks a password */
}

static void close_page(void)
{
    web_end(page.exporter.web);
    for (int i = 0; i < LAST_TURNS; i++)
        http_server_turn(page.play.server, 1);
    http_server_stop(page.play.server);
    web_close(page.exporter.web);
    segment_source_close(&page.exporter.source);
    options_free(&options_table, &page.exporter.options);
    fixture_close(&page.fixture);
}

static void open_page(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort, too */
    fixture_open(&page.fixture, settings);
    fixture_deliver(&page.fixture, WIRE_HEARTBEAT, "a", "example.com", "/\"\\", "DE", "x");
    snprintf(page.web_config, sizeof(page.web_config), "%s/web", page.fixture.scratch.directory);
    FILE *file = fopen(page.web_config, "w");
    fuzz_check(file && fputs(users, file) >= 0 && fclose(file) == 0);
    const char *const words[] = {"presence-exporter",
                                 "--segment",
                                 page.fixture.scratch.path,
                                 "--window=1m",
                                 "--web.config.file",
                                 page.web_config,
                                 NULL};
    char *argv[LENGTH(words)];
    int argc = fuzz_command_line(words, argv);
    fuzz_check(options_read(argc, argv, &page.exporter.options) == OPTION_RUN);
    page.exporter.web = web_open(page.web_config);
    fuzz_check(page.exporter.web && web_start(page.exporter.web) == 0);
    segment_source_init(&page.exporter.source, page.exporter.options.segment);
    page.play = (struct play){.socket = play_listen(), .turn = turn_page};
    fuzz_check(start(&page.exporter, &page.play.socket, &page.play.server) == 0);
    atexit(close_page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!page.play.server)
        open_page();
    fixture_show_clock(&page.fixture);
    play_client(&page.play, (struct fuzz_input){data, size});
    return 0;
}
