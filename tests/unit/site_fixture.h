/* site_fixture.h - a presence-web with a segment, whose heartbeats a test delivers. */
#ifndef PRESENCE_TESTS_SITE_FIXTURE_H
#define PRESENCE_TESTS_SITE_FIXTURE_H

#include "reader_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "outbound.h"
#include "touch.h"

#define SITE "example.com"

static const struct segment_settings site_settings = {.max_entries = 10000,
                                                      .max_scopes = 1024,
                                                      .max_window = 3600,
                                                      .max_streams = 4,
                                                      .max_events = 4096};

/* A presence-web whose heartbeats go to a socket that nobody reads: what the collector gets, a test
 * delivers. */
struct site {
    struct fixture fixture;
    struct web web;
    int socket;
    int64_t now_ns;
};

static inline int open_site(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    const char *failed;
    char target[32];

    assert_non_null(site);
    fixture_open(&site->fixture, site_settings);
    site->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(site->socket, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(site->socket, (struct sockaddr *)&address, &length), 0);
    snprintf(target, sizeof(target), "127.0.0.1:%u", ntohs(address.sin_port));
    site->web.live = live_new(site->fixture.scratch.path, NULL);
    site->web.touches = touches_new(&site->web);
    assert_int_equal(outbound_open((char *[]){target}, 1, &site->web.key, site->web.live,
                                   &site->web.outbound, &failed),
                     0);
    *state = site;
    return 0;
}

static inline int close_site(void **state)
{
    struct site *site = *state;

    touches_free(site->web.touches);
    outbound_close(site->web.outbound);
    live_free(site->web.live);
    close(site->socket);
    fixture_close(&site->fixture);
    free(site);
    return 0;
}

#endif
