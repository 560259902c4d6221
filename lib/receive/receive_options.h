/* receive_options.h - the options of every program that receives heartbeats: whole entries of its
 * table (common/options.h), to which the program adds what only it has to say. The main thread. */
#ifndef PRESENCE_RECEIVE_OPTIONS_H
#define PRESENCE_RECEIVE_OPTIONS_H

#include "common/networks.h"
#include "common/options.h"
#include "endpoints.h"
#include "receive.h"

/* For `details` of --listen. */
#define RECEIVE_LISTEN_DETAILS \
    "IPv6 addresses stand in brackets. Port 0 lets the kernel choose; the port is logged."

/* --listen: fills a struct endpoints_settings. */
#define OPTION_LISTEN(of, member, ...)                                                     \
    {                                                                                      \
        "listen", OPTION_PARSED(of, member, receive_add_listen),                           \
            .max = ENDPOINTS_MAX, .repeatable = true, .argument = "ADDR:PORT",             \
            .fallback = PRESENCE_DEFAULT_ADDRESS,                                          \
            .expected = "a numeric address and port such as 127.0.0.1:9514 or [::1]:9514", \
            .help = "receive heartbeats here", ##__VA_ARGS__                               \
    }

/* --allow: fills a struct network_list, which the program frees. */
#define OPTION_ALLOW(of, member, ...)                                                    \
    {                                                                                    \
        "allow", OPTION_PARSED(of, member, receive_add_allowed),                         \
            .max = NETWORKS_MAX, .repeatable = true, .argument = "CIDR",                 \
            .expected = "an address or a network such as 10.0.0.0/8 or 2001:db8::/32",   \
            .example = "10.0.0.0/8",                                                     \
            .help = "accept heartbeats only from this address or network", ##__VA_ARGS__ \
    }

/* --receive: sets an enum receive_engine. */
#define OPTION_RECEIVE(of, member, ...)                                         \
    {                                                                           \
        "receive", OPTION_WORD(of, member, receive_engines),                    \
            .argument = "METHOD", .fallback = "auto",                           \
            .help = "how to receive: auto, io_uring or recvmmsg", ##__VA_ARGS__ \
    }

/* The words of --receive, by enum receive_engine. */
extern const char *const receive_engines[];

/* Add to a struct endpoints_settings, or a struct network_list. Errors: those of endpoints_add;
 * those of network_list_add. */
int receive_add_listen(void *settings, const char *text);
int receive_add_allowed(void *list, const char *text);

#endif
