#include "oracle_trends.h"

#include <stdlib.h>

static void add(struct oracle_figure *sum, const struct oracle_figure *figure)
{
    sum->value += figure->value;
    sum->doubt += figure->doubt;
}

static void add_flow(struct oracle_flow *sum, const struct oracle_flow *flow)
{
    add(&sum->heartbeats, &flow->heartbeats);
    add(&sum->pageviews, &flow->pageviews);
    add(&sum->entries, &flow->entries);
    add(&sum->leaves, &flow->leaves);
    add(&sum->departures, &flow->departures);
}

static struct oracle_minute *minute_of(struct oracle_trend *trend, uint64_t minute)
{
    if (trend->length && trend->minutes[trend->length - 1].minute == minute)
        return &trend->minutes[trend->length - 1];
    if (trend->length == trend->capacity) {
        trend->capacity = trend->capacity ? trend->capacity * 2 : 16;
        trend->minutes = realloc(trend->minutes, trend->capacity * sizeof(*trend->minutes));
    }
    trend->minutes[trend->length] = (struct oracle_minute){.minute = minute};
    return &trend->minutes[trend->length++];
}

static struct oracle_second *second_of(struct oracle_trend *trend, uint64_t tick)
{
    if (trend->seconds_length && trend->seconds[trend->seconds_length - 1].tick == tick)
        return &trend->seconds[trend->seconds_length - 1];
    if (trend->seconds_length == trend->seconds_capacity) {
        trend->seconds_capacity = trend->seconds_capacity ? trend->seconds_capacity * 2 : 16;
        trend->seconds = realloc(trend->seconds, trend->seconds_capacity * sizeof(*trend->seconds));
    }
    trend->seconds[trend->seconds_length] = (struct oracle_second){.tick = tick};
    return &trend->seconds[trend->seconds_length++];
}

void oracle_trend_sample(struct oracle_trend *trend, unsigned count,
                         const struct oracle_round *round)
{
    uint64_t now = round->now, flow_tick = trend->is_kept ? round->before : now;

    if (trend->was_forgotten)
        oracle_trend_doubt(trend);
    trend->was_forgotten = false;
    add_flow(&minute_of(trend, flow_tick / 60)->flow, &trend->pending);
    add_flow(&second_of(trend, flow_tick)->flow, &trend->pending);
    trend->pending = (struct oracle_flow){0};

    second_of(trend, now);
    struct oracle_minute *minute = minute_of(trend, now / 60);
    minute->minimum = minute->samples == 0 || count < minute->minimum ? count : minute->minimum;
    minute->maximum = count > minute->maximum ? count : minute->maximum;
    minute->sum += count;
    minute->samples++;
    minute->is_warming |= round->is_warming;
    trend->is_kept = true;
}

void oracle_trend_doubt(struct oracle_trend *trend)
{
    struct oracle_flow *pending = &trend->pending;

    if (pending->entries.value || pending->leaves.value)
        trend->is_doubted = true;
    pending->heartbeats.doubt = pending->heartbeats.value;
    pending->pageviews.doubt = pending->pageviews.value;
    pending->entries.doubt = pending->entries.value;
    pending->leaves.doubt = pending->leaves.value;
}

void oracle_trend_drop(struct oracle_trend *trend)
{
    free(trend->minutes);
    free(trend->seconds);
    *trend = (struct oracle_trend){0};
}

void oracle_trend_forget(struct oracle_trend *trend)
{
    oracle_trend_drop(trend);
    trend->was_forgotten = true;
}

unsigned oracle_trend_last_minute(const struct oracle_trend *trend, struct oracle_flow *ret)
{
    uint64_t sampled = trend->seconds[trend->seconds_length - 1].tick;
    unsigned seconds = 0;

    *ret = (struct oracle_flow){0};
    for (unsigned i = trend->seconds_length - 1; i-- > 0;) {
        if (trend->seconds[i].tick + 60 < sampled)
            break;
        add_flow(ret, &trend->seconds[i].flow);
        seconds++;
    }
    return seconds;
}
