/* test_stream_scenarios.c - random scenarios of datagrams of version 2, mixed with the others:
 * streams that lose, repeat and reorder their datagrams, replays, forgeries, sites that are not
 * counted. After every step counts, events and the figures of all streams must match the oracle. */
#include "play.h"

#define PLACES_OF_ALL                                                              \
    .names = {3, 4, 3, 3}, .visitors = 60, .max_entries = 12000, .max_scopes = 64, \
    .max_window = 3600, .max_events = 1024, .max_histories = VARIANT_FOR_ALL

static const struct variant variants[] = {
    {
        .name = "streams for all",
        PLACES_OF_ALL,
        .max_streams = 1024,
    },
    {
        .name = "signed, text from networks",
        PLACES_OF_ALL,
        .max_streams = 1024,
        .keys = 3,
        .has_networks = true,
    },
    {
        .name = "signed, no text",
        PLACES_OF_ALL,
        .max_streams = 64,
        .keys = 255,
    },
    {
        .name = "sites that are not counted",
        PLACES_OF_ALL,
        .max_streams = 32,
        .refused_sites = 1,
    },
    {
        .name = "few streams",
        PLACES_OF_ALL,
        .max_streams = 5,
    },
    {
        .name = "one stream",
        PLACES_OF_ALL,
        .max_streams = 1,
        .keys = 2,
        .has_networks = true,
    },
    {
        .name = "no streams",
        PLACES_OF_ALL,
        .refused_sites = 2,
        .has_networks = true,
    },
    {
        .name = "all at once",
        .names = {4, 4, 2, 2},
        .visitors = 40,
        .max_entries = 60,
        .max_scopes = 12,
        .max_window = 600,
        .max_events = 64,
        .max_streams = 8,
        .refused_sites = 2,
        .keys = 2,
        .has_networks = true,
        .table_may_fill = true,
        .directory_may_fill = true,
    },
};

int main(void)
{
    return play_variants("stream_scenarios", variants, sizeof(variants) / sizeof(variants[0]), 1.5);
}
