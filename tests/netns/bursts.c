/* bursts - a sender of libpresence that sends what it is told, as fast as it can, and stays alive.
 *
 * Usage: bursts HOST:PORT SITE STREAM TARGET [no-offload] [no-wait]
 * Each line of stdin is a number of datagrams, of one visitor each. When they were sent, a line
 * says what has been sent since the start: datagrams that the kernel accepted, those that it did
 * not, the visitors of the former, and reports that nobody listens. Lines of 0 ask for that alone.
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <presence/presence.h>

#define TICK_MS 100

static bool is_given(char **arguments, const char *option)
{
    while (*arguments && strcmp(*arguments, option) != 0)
        arguments++;
    return *arguments;
}

static struct presence_sender *open_sender(char **arguments)
{
    const struct presence_sender_options options = {
        .batch = 1,
        .stream = strtoull(arguments[2], NULL, 16),
        .target = (uint16_t)atoi(arguments[3]),
        .no_offload = is_given(arguments + 4, "no-offload"),
        .no_wait = is_given(arguments + 4, "no-wait"),
    };
    struct presence_sender *sender;
    int r = presence_sender_open(arguments[0], &options, &sender);

    if (r < 0) {
        fprintf(stderr, "bursts: cannot send to %s: %s\n", arguments[0], strerror(-r));
        exit(1);
    }
    return sender;
}

/* Send datagrams that are all of one size, so that they become trains. */
static void send_burst(struct presence_sender *sender, const char *site, unsigned long count)
{
    const struct presence_place place = {.site = site};
    static unsigned long number;

    for (unsigned long i = 0; i < count; i++) {
        uint8_t id[16] = {0};
        number++;
        memcpy(id, &number, sizeof(number));
        presence_send_id(sender, &place, id);
    }
    presence_sender_flush(sender);
}

static void print_totals(const struct presence_sender *sender)
{
    struct presence_sender_totals totals;

    presence_sender_totals(sender, &totals);
    printf("%llu %llu %llu %llu\n", (unsigned long long)totals.datagrams,
           (unsigned long long)totals.failed, (unsigned long long)totals.heartbeats,
           (unsigned long long)totals.refused);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[32];

    if (argc < 5) {
        fprintf(stderr, "Usage: bursts HOST:PORT SITE STREAM TARGET [no-offload] [no-wait]\n");
        return 2;
    }
    struct presence_sender *sender = open_sender(argv + 1);
    setvbuf(stdin, NULL, _IONBF, 0); /* a line that is buffered is not seen by poll */
    for (;;) {
        if (poll(&input, 1, TICK_MS) <= 0) {
            presence_sender_flush_aged(sender);
            continue;
        }
        if (!fgets(line, sizeof(line), stdin))
            break;
        send_burst(sender, argv[2], strtoul(line, NULL, 10));
        print_totals(sender);
    }
    presence_sender_close(sender);
    return 0;
}
