/* load.c - send heartbeats of many made-up visitors at a steady rate. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "presence-send.h"
#include "visitors.h"

#define STEP_NS       500000    /* between two bursts of a fast load */
#define BURST_NS      1000000   /* a delayed load sends the heartbeats of at most so long at once */
#define LATE_NS       100000000 /* a delayed load goes on for so long after its end */
#define LONGEST_SLEEP 50000000
#define UNPACED_STEP  4096 /* heartbeats */
#define DEFAULT_GROUP 80   /* visitors in a row at one place: about a datagram */
#define PROGRESS_NS   100000000
#define BAR_WIDTH     30

/* A load. All times but `start` are ns since `start`. */
struct load {
    struct presence_sender *sender;
    struct visitors visitors;
    double rate;      /* heartbeats a second; 0: as many as possible */
    uint64_t unit;    /* heartbeats that are sent together: a datagram of a fixed size, or 1 */
    uint64_t total;   /* heartbeats until the end; UINT64_MAX: until `end` */
    uint64_t queued;  /* heartbeats queued so far */
    int64_t end;      /* INT64_MAX: when `total` is reached */
    int64_t start;    /* by monotonic_ns() */
    bool on_terminal; /* stderr is one: show the progress */
    int64_t shown_at; /* when the progress was last shown; 0: not yet */
};

static int64_t load_now(const struct load *load)
{
    return monotonic_ns() - load->start;
}

static void load_sleep_until(const struct load *load, int64_t time)
{
    int64_t wake = load->start + time;
    const struct timespec until = {wake / NS_PER_S, wake % NS_PER_S};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void load_begin(struct load *load, const struct options *options,
                       struct presence_sender *sender)
{
    const struct load_options *wanted = &options->load;
    uint32_t batch = options->sender.batch;

    *load = (struct load){
        .sender = sender,
        .rate = wanted->rate,
        .unit = batch > 0 ? batch : 1,
        .total = UINT64_MAX,
        .end = INT64_MAX,
        .on_terminal = isatty(STDERR_FILENO),
    };
    visitors_init(&load->visitors, options, batch > 0 ? batch : DEFAULT_GROUP);
    if (wanted->duration_s == 0)
        load->total = wanted->visitors;
    else if (load->rate > 0)
        load->total = (uint64_t)(load->rate * wanted->duration_s + 0.5);
    if (wanted->duration_s > 0)
        load->end = (int64_t)(wanted->duration_s * NS_PER_S);
    else if (load->rate > 0)
        load->end = (int64_t)((double)load->total / load->rate * NS_PER_S);
    /* The kernel may otherwise wake a sleeper 50 µs late. */
    prctl(PR_SET_TIMERSLACK, 1);
    load->start = monotonic_ns();
}

/* Return when the next unit is due. */
static int64_t load_next_due(const struct load *load)
{
    return (int64_t)((double)load->queued / load->rate * NS_PER_S);
}

/* Compute how many heartbeats to queue now. */
static uint64_t load_due(const struct load *load, int64_t now)
{
    uint64_t left = load->total - load->queued;
    uint64_t due = (UNPACED_STEP / load->unit + 1) * load->unit;

    if (load->rate > 0) {
        double unit = (double)load->unit;
        uint64_t units = (uint64_t)(load->rate * (double)now / NS_PER_S / unit) + 1;
        uint64_t queued = load->queued / load->unit;
        uint64_t burst = (uint64_t)(load->rate * BURST_NS / NS_PER_S / unit) + 1;
        units = units > queued ? units - queued : 0;
        due = (units < burst ? units : burst) * load->unit;
    }
    return due < left ? due : left;
}

static void load_queue(struct load *load, uint64_t heartbeats)
{
    for (uint64_t i = 0; i < heartbeats; i++) {
        uint8_t id[16];
        const struct presence_place *place = visitors_next(&load->visitors, id);
        /* The place and the id are valid; failures of the network are counted. */
        presence_send_id(load->sender, place, id);
    }
    load->queued += heartbeats;
}

static bool load_goes_on(const struct load *load, int64_t now)
{
    int64_t late = load->rate > 0 ? LATE_NS : 0;

    return !interrupted() && load->queued < load->total && now - late < load->end;
}

/* Show the progress on a terminal, at most ten times a second. */
static void load_show(struct load *load, int64_t now)
{
    static const char full[] = "##############################";
    static const char empty[] = "..............................";
    double part = load->end == INT64_MAX ? (double)load->queued / (double)load->total
                                         : (double)now / (double)load->end;
    int width = part < 1 ? (int)(part * BAR_WIDTH) : BAR_WIDTH;
    double seconds = (double)now / NS_PER_S;

    if (!load->on_terminal || (load->shown_at && now - load->shown_at < PROGRESS_NS))
        return;
    load->shown_at = now + 1;
    fprintf(stderr, "\r[%.*s%.*s] %3.0f %%  %.3g heartbeats/s  %.0f s\033[K", width, full,
            BAR_WIDTH - width, empty, part * 100, seconds > 0 ? (double)load->queued / seconds : 0,
            seconds);
}

/* Sleep until there is more to send, but at most LONGEST_SLEEP: queued heartbeats must not wait. */
static void load_pause(const struct load *load, int64_t step_began)
{
    int64_t wake = load_next_due(load);

    if (wake < step_began + STEP_NS)
        wake = step_began + STEP_NS;
    if (wake > step_began + LONGEST_SLEEP)
        wake = step_began + LONGEST_SLEEP;
    load_sleep_until(load, wake);
}

/* Queue and send everything. Returns how long that took. */
static int64_t load_send(struct load *load)
{
    int64_t now = 0;

    for (; load_goes_on(load, now); now = load_now(load)) {
        load_queue(load, load_due(load, now));
        load_show(load, now);
        if (load->rate > 0) {
            presence_sender_flush_aged(load->sender);
            load_pause(load, now);
        }
    }
    presence_sender_flush(load->sender);
    /* Wait for the end of the last heartbeat's interval, or the measured rate would be too high. */
    while (load->rate > 0 && !interrupted() && load_now(load) < load->end) {
        now = load_now(load);
        presence_sender_flush_aged(load->sender);
        load_sleep_until(load, load->end < now + LONGEST_SLEEP ? load->end : now + LONGEST_SLEEP);
    }
    return load_now(load);
}

/* Print the summary. Returns false if it cannot be written. */
static bool load_print(const struct load *load, double seconds)
{
    struct presence_sender_totals totals;

    presence_sender_totals(load->sender, &totals);
    json_t *wanted = load->rate > 0 ? json_real(load->rate) : json_null();
    json_t *summary = json_pack(
        "{s:I, s:I, s:I, s:f, s:f, s:o, s:I, s:I}", "heartbeats", (json_int_t)totals.heartbeats,
        "datagrams", (json_int_t)totals.datagrams, "bytes", (json_int_t)totals.bytes, "seconds",
        seconds, "rate", (double)totals.heartbeats / seconds, "wanted_rate", wanted, "failed",
        (json_int_t)totals.failed, "refused", (json_int_t)totals.refused);
    bool printed = summary && json_dumpf(summary, stdout, JSON_REAL_PRECISION(9)) == 0 &&
                   putchar('\n') != EOF && fflush(stdout) == 0;

    json_decref(summary);
    return printed;
}

int load_run(const struct options *options, struct presence_sender *sender)
{
    struct load load;

    load_begin(&load, options, sender);
    double seconds = (double)load_send(&load) / NS_PER_S;
    if (load.shown_at)
        fputs("\r\033[K", stderr);
    if (!load_print(&load, seconds)) {
        log_error("cannot write the summary: %s", strerror(errno));
        return 1;
    }
    return target_check(options, sender) ? 0 : 1;
}
