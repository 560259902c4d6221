/* test_trends.c - the model's scenarios where trends and events are hard to keep: for days on end,
 * and with too few histories and the smallest ring of events. */
#include "play.h"

static const struct variant variants[] = {
    {
        .name = "days on end",
        .names = {2, 3, 2, 2},
        .visitors = 60,
        .max_entries = 4000,
        .max_scopes = 64,
        .max_window = 3600,
        .max_streams = 16,
        .max_histories = VARIANT_FOR_ALL,
        .max_events = 64,
        .steps = 2500,
        .is_steady = true,
    },
    {
        .name = "few histories",
        .names = {4, 6, 3, 3},
        .visitors = 100,
        .max_entries = 16000,
        .max_scopes = 128,
        .max_window = 600,
        .max_streams = 16,
        .max_histories = 9,
        .max_events = 256,
        .steps = 1000,
        .is_steady = true,
    },
    {
        .name = "fewer histories than sites",
        .names = {6, 2, 1, 1},
        .visitors = 40,
        .max_entries = 8000,
        .max_scopes = 64,
        .max_window = 300,
        .max_streams = 16,
        .max_histories = 3,
        .max_events = 64,
        .steps = 1000,
        .is_steady = true,
    },
    {
        .name = "one history",
        .names = {1, 6, 2, 2},
        .visitors = 60,
        .max_entries = 4000,
        .max_scopes = 64,
        .max_window = 30,
        .max_streams = 16,
        .max_histories = 1,
        .max_events = 128,
    },
    {
        .name = "everything too small",
        .names = {4, 4, 2, 2},
        .visitors = 40,
        .max_entries = 60,
        .max_scopes = 12,
        .max_window = 60,
        .max_streams = 16,
        .max_events = 64,
        .table_may_fill = true,
        .directory_may_fill = true,
    },
};

int main(void)
{
    return play_variants("trends", variants, sizeof(variants) / sizeof(variants[0]), 3);
}
