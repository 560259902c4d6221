/* read.c - read live counts from a program of your own.
 *
 *     cc read.c $(pkg-config --cflags --libs presence) -o read
 *     ./read example.com
 *
 * A server would open the segment once and count as often as it likes: a count takes a
 * fraction of a microsecond and no system call. The handle survives restarts of the collector.
 */
#include <presence/presence.h>
#include <stdio.h>
#include <string.h>

/* Print the five busiest rooms. The names are as they were sent: a program that shows them on a
 * page or in a terminal must escape them. */
static void print_rooms(struct presence *presence, const char *site)
{
    struct presence_listing rooms;

    if (presence_top(presence, site, PRESENCE_ROOM, 0, 5, &rooms) < 0)
        return;
    for (size_t i = 0; i < rooms.length; i++)
        printf("%8u  %s\n", rooms.entries[i].count, rooms.entries[i].name);
    presence_listing_free(&rooms);
}

int main(int argc, char **argv)
{
    struct presence *presence;
    struct presence_reading reading;

    if (argc != 2) {
        fprintf(stderr, "usage: read SITE\n");
        return 2;
    }

    /* NULL: $PRESENCE_SEGMENT, or the default. */
    int error = presence_open(NULL, &presence);
    if (error < 0) {
        fprintf(stderr, "read: cannot open the segment: %s; start presenced\n", strerror(-error));
        return 1;
    }

    /* NULL: the site, not one of its rooms; 0: the default window. */
    error = presence_count(presence, argv[1], NULL, 0, &reading);
    if (error < 0) {
        fprintf(stderr, "read: cannot count %s: %s\n", argv[1], strerror(-error));
    } else if (!reading.exists) {
        /* Three answers: a number, nobody, and unknown, which is never shown as 0. */
        fprintf(stderr, "read: %s: %s\n", argv[1],
                reading.known ? "nobody in the longest window" : "unknown");
    } else {
        printf("%8u  in the last %u s\n", reading.count, reading.window_s);
        /* Zero is a measurement, silence is not: check both marks before you trust a number. */
        if (reading.stale)
            printf("stale: the collector has been silent for %llu s\n",
                   (unsigned long long)reading.as_of_age_s);
        else if (reading.warming || reading.partial)
            printf("%s: a lower bound\n", reading.warming ? "warming" : "partial");
        print_rooms(presence, argv[1]);
    }
    presence_close(presence);
    return error < 0 ? 1 : reading.exists ? 0 : 4;
}
