#include "oracle_trends.h"

#include <stdlib.h>

static void add(struct oracle_figure *sum, const struct oracle_figure *figure)
{
    sum->value += figure->value;
    sum->doubt += figure->doubt;
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

static void raise_peak(struct oracle_peak *peak, unsigned count, uint64_t now, bool begins)
{
    if (begins || count > peak->count)
        *peak = (struct oracle_peak){count, now};
}

void oracle_trend_sample(struct oracle_trend *trend, unsigned count, uint64_t now, uint64_t before,
                         bool is_new_day)
{
    if (trend->was_forgotten)
        oracle_trend_doubt(trend);
    trend->was_forgotten = false;
    uint64_t flow_minute = trend->is_kept ? before / 60 : now / 60;
    struct oracle_flow *flow = &minute_of(trend, flow_minute)->flow;

    add(&flow->heartbeats, &trend->pending.heartbeats);
    add(&flow->pageviews, &trend->pending.pageviews);
    add(&flow->entries, &trend->pending.entries);
    add(&flow->leaves, &trend->pending.leaves);
    add(&flow->departures, &trend->pending.departures);
    trend->pending = (struct oracle_flow){0};

    struct oracle_minute *minute = minute_of(trend, now / 60);
    minute->minimum = minute->samples == 0 || count < minute->minimum ? count : minute->minimum;
    minute->maximum = count > minute->maximum ? count : minute->maximum;
    minute->sum += count;
    minute->samples++;
    raise_peak(&trend->today, count, now, is_new_day || !trend->is_kept);
    raise_peak(&trend->ever, count, now, !trend->is_kept);
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

void oracle_trend_forget(struct oracle_trend *trend)
{
    free(trend->minutes);
    *trend = (struct oracle_trend){.was_forgotten = true};
}
