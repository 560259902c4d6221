/* send.c - send heartbeats from a program of your own.
 *
 *     cc send.c $(pkg-config --cflags --libs presence) -o send
 *     ./send example.com /pricing visitor-1 visitor-2
 *
 * A server that has an event loop would open one sender for its life, without `one_shot`, call
 * presence_send for every request or ping, and presence_sender_flush_aged once a second, so that
 * heartbeats don't wait while traffic pauses and the sender is seen to be alive.
 */
#include <presence/presence.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct presence_place place = {.kind = PRESENCE_HEARTBEAT, .country = "DE"};
    const struct presence_sender_options options = {.one_shot = true};
    struct presence_sender_totals totals;
    struct presence_sender *sender;
    int status = 0;

    if (argc < 4) {
        fprintf(stderr, "usage: send SITE ROOM VISITOR...\n");
        return 2;
    }
    place.site = argv[1];
    place.room = argv[2];

    /* NULL: to the default address. */
    int error = presence_sender_open(NULL, &options, &sender);
    if (error < 0) {
        fprintf(stderr, "send: cannot open a sender: %s\n", strerror(-error));
        return 1;
    }
    for (int i = 3; i < argc; i++) {
        error = presence_send(sender, &place, argv[i]);
        if (error < 0) {
            fprintf(stderr, "send: cannot send '%s': %s\n", argv[i], strerror(-error));
            status = 1;
        }
    }

    /* Queued visitors share datagrams: here all of them go in one. */
    presence_sender_flush(sender);
    presence_sender_totals(sender, &totals);
    if (totals.failed > 0 || totals.refused > 0) {
        fprintf(stderr, "send: nobody listens on %s; start presenced\n", PRESENCE_DEFAULT_ADDRESS);
        status = 1;
    }
    presence_sender_close(sender);
    return status;
}
