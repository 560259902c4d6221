#include "outbound.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <time.h>
#include <xxhash.h>

#include "common/log.h"
#include "common/monotonic.h"

#define COMPLAINT_NS (60 * NS_PER_S)   /* between two log lines about the same collector */
#define ALIVE_NS     NS_PER_S          /* between two calls of presence_sender_flush_aged */
#define TOUCHES      65536             /* that are remembered; a power of two */
#define ARRIVAL_MS   1000              /* until a touch that nobody waits for is in the segment */
#define CLOCK_MS     20                /* by which the readers' clock may be behind */
#define LATE_NS      (500 * NS_PER_MS) /* a heartbeat's way to a busy collector */
#define CONCERNS_S   5 /* an edge may report the next page so long before the leave arrives */

struct target {
    const char *address;
    struct presence_sender *sender;
    uint64_t lost; /* as of the last log line */
    int64_t complained_at_ns;
};

struct leave {
    TAILQ_ENTRY(leave) by_age;
    uint8_t id[PLACE_ID_SIZE];
    struct heartbeat heartbeat;
    char country[3];
    int64_t due_ns;
    int64_t began_s;   /* by CLOCK_BOOTTIME, like the following */
    int64_t touched_s; /* the last touch before the leave */
};

/* The time of a visitor's last touch. Two visitors who share a slot overwrite each other. */
struct touched {
    uint32_t hash;
    uint32_t second; /* CLOCK_BOOTTIME */
};

TAILQ_HEAD(queue, leave);

struct outbound {
    struct live *live;
    void *leaves; /* searched by tsearch(3) */
    size_t leave_count;
    struct queue queues[HEARTBEAT_HOLD_MAX + 1]; /* by how long they are held, each by due time */
    struct touched touched[TOUCHES];
    bool queued;
    size_t target_count;
    struct target targets[];
};

/* ---- collectors ----------------------------------------------------------------------------- */

/* Open a sender for each target, all of one new stream, in place of those that were open before.
 * Errors: as presence_sender_open(), and `ret_failed` is the first that failed. */
static int open_senders(struct outbound *outbound, const struct key *key, const char **ret_failed)
{
    struct presence_sender_options options = {
        .key_id = key->id,
        .no_wait = true, /* neither for the other targets nor, at boot, for the network */
    };
    int r = 0;

    memcpy(options.key, key->bytes, sizeof(options.key));
    if (getrandom(&options.stream, sizeof(options.stream), 0) != sizeof(options.stream))
        r = -errno;
    for (; r == 0 && options.target < outbound->target_count; options.target++) {
        struct target *target = &outbound->targets[options.target];
        struct presence_sender *sender;
        *ret_failed = target->address;
        r = presence_sender_open(target->address, &options, &sender);
        if (r == 0) {
            presence_sender_close(target->sender);
            target->sender = sender;
            target->lost = 0;
        }
    }
    explicit_bzero(&options, sizeof(options));
    return r;
}

int outbound_open(char *const *addresses, size_t count, const struct key *key, struct live *live,
                  struct outbound **ret, const char **ret_failed)
{
    struct outbound *outbound = calloc(1, sizeof(*outbound) + count * sizeof(outbound->targets[0]));

    *ret_failed = addresses[0];
    if (!outbound)
        return -ENOMEM;
    outbound->live = live;
    for (int i = 0; i <= HEARTBEAT_HOLD_MAX; i++)
        TAILQ_INIT(&outbound->queues[i]);
    for (size_t i = 0; i < count; i++) {
        outbound->targets[i] =
            (struct target){.address = addresses[i], .complained_at_ns = INT64_MIN / 2};
    }
    outbound->target_count = count;
    int r = open_senders(outbound, key, ret_failed);
    if (r < 0) {
        outbound_close(outbound);
        return r;
    }
    *ret = outbound;
    return 0;
}

int outbound_sign(struct outbound *outbound, const struct key *key)
{
    const char *failed;

    return open_senders(outbound, key, &failed);
}

static int queue_heartbeat(struct outbound *outbound, const struct heartbeat *heartbeat,
                           const char *country)
{
    struct presence_place place = heartbeat_place(heartbeat, country);

    for (size_t i = 0; i < outbound->target_count; i++) {
        int r = presence_send(outbound->targets[i].sender, &place, heartbeat->visitor);
        if (r < 0)
            return r; /* the place or the id is invalid, for all collectors alike */
    }
    outbound->queued = true;
    return 0;
}

static uint64_t count_lost(const struct target *target)
{
    struct presence_sender_totals totals;

    presence_sender_totals(target->sender, &totals);
    return totals.refused + totals.failed;
}

uint64_t outbound_lost(struct outbound *outbound)
{
    uint64_t lost = 0;

    for (size_t i = 0; i < outbound->target_count; i++) {
        if (!outbound->queued) /* with nothing queued, a flush only reads the socket's errors */
            presence_sender_flush(outbound->targets[i].sender);
        lost += count_lost(&outbound->targets[i]);
    }
    return lost;
}

static void report_losses(struct target *target)
{
    int64_t now_ns = monotonic_ns();
    uint64_t lost = count_lost(target);

    if (lost == target->lost || now_ns - target->complained_at_ns < COMPLAINT_NS)
        return;
    log_line("heartbeats do not reach %s: no collector there? start presenced, or see --to",
             target->address);
    target->lost = lost;
    target->complained_at_ns = now_ns;
}

/* Send what is queued; otherwise show that this sender is alive, if it is time to. */
static void flush(struct outbound *outbound)
{
    for (size_t i = 0; i < outbound->target_count; i++) {
        struct target *target = &outbound->targets[i];
        if (outbound->queued) {
            presence_sender_flush(target->sender);
            report_losses(target);
        } else {
            presence_sender_flush_aged(target->sender);
        }
    }
    outbound->queued = false;
}

/* ---- when a visitor was there --------------------------------------------------------------- */

/* Return CLOCK_BOOTTIME in seconds, shifted by `shift_ms`. */
static int64_t boot_second(int64_t shift_ms)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS + shift_ms) / 1000;
}

/* Compute the visitor's id: a visitor has one, however it is spelled. */
static void get_id(const struct heartbeat *heartbeat, uint8_t ret[PLACE_ID_SIZE])
{
    place_visitor_id(heartbeat->visitor, ret); /* was checked */
}

static struct touched *find_touched(struct outbound *outbound, const struct heartbeat *heartbeat,
                                    uint32_t *ret_hash)
{
    const char *site = heartbeat->place.site;
    uint8_t id[PLACE_ID_SIZE];

    get_id(heartbeat, id);
    uint64_t hash = XXH3_64bits_withSeed(id, sizeof(id), XXH3_64bits(site, strlen(site)));
    *ret_hash = (uint32_t)(hash >> 32);
    return &outbound->touched[hash % TOUCHES];
}

static void record_touch(struct outbound *outbound, const struct heartbeat *heartbeat)
{
    uint32_t hash;
    struct touched *touched = find_touched(outbound, heartbeat, &hash);

    *touched = (struct touched){hash, (uint32_t)boot_second(ARRIVAL_MS)};
}

/* Bounds of a computed second: another may begin between reading the clock and the age. */
enum bound { EARLIEST, LATEST };

/* Return the second of the visitor's last heartbeat in the segment, or 0 if there is none. */
static int64_t last_seen(struct live *live, const struct heartbeat *heartbeat, enum bound bound)
{
    struct presence *presence = live_presence(live);
    const char *site = heartbeat->place.site;
    int64_t before_s = boot_second(-CLOCK_MS);
    struct presence_reading seen;

    if (!presence || presence_seen(presence, site, heartbeat->visitor, &seen) < 0 || !seen.exists)
        return 0;
    if (bound == EARLIEST)
        return before_s - (int64_t)seen.as_of_age_s - seen.last_heartbeat_s;
    uint64_t age_after = presence_freshness(presence).as_of_age_s;
    return boot_second(0) - (int64_t)age_after - seen.last_heartbeat_s;
}

/* Return the second of the last touch before a leave, as far as it is known. */
static int64_t last_touched(struct outbound *outbound, const struct heartbeat *heartbeat)
{
    uint32_t hash;
    const struct touched *touched = find_touched(outbound, heartbeat, &hash);

    if (touched->hash == hash && touched->second)
        return touched->second;
    return last_seen(outbound->live, heartbeat, LATEST);
}

/* True if somebody else has reported the visitor since. */
static bool is_seen_again(const struct outbound *outbound, const struct leave *leave)
{
    int64_t seen_s = last_seen(outbound->live, &leave->heartbeat, EARLIEST);

    return seen_s > leave->touched_s && seen_s >= leave->began_s - CONCERNS_S;
}

void outbound_record_counted(struct outbound *outbound, const struct heartbeat *heartbeat)
{
    uint32_t hash;
    struct touched *touched = find_touched(outbound, heartbeat, &hash);
    int64_t second = last_seen(outbound->live, heartbeat, LATEST);

    if (touched->hash == hash && second)
        touched->second = (uint32_t)second;
}

bool outbound_is_seen_since(const struct outbound *outbound, const struct heartbeat *heartbeat,
                            int64_t sent_ns)
{
    struct live_visitor seen;

    if (!live_presence(outbound->live))
        return false;
    live_observe(outbound->live, &heartbeat->place, heartbeat->visitor, 0, &seen);
    if (seen.age_s == LIVE_NEVER_SEEN || seen.number.stale)
        return false;
    /* ages are whole seconds, and the one that was sent has been on its way */
    int64_t age_s = (int64_t)seen.age_s + (int64_t)seen.number.as_of_age_s + 1;
    return monotonic_ns() - sent_ns > age_s * NS_PER_S + LATE_NS;
}

/* ---- leaves --------------------------------------------------------------------------------- */

static int compare_leaves(const void *left, const void *right)
{
    const struct leave *a = left, *b = right;
    int order = memcmp(a->id, b->id, sizeof(a->id));

    return order ? order : strcmp(a->heartbeat.place.site, b->heartbeat.place.site);
}

static struct queue *queue_of(struct outbound *outbound, const struct leave *leave)
{
    return &outbound->queues[leave->heartbeat.hold_s];
}

static void drop_leave(struct outbound *outbound, struct leave *leave)
{
    tdelete(leave, &outbound->leaves, compare_leaves);
    TAILQ_REMOVE(queue_of(outbound, leave), leave, by_age);
    outbound->leave_count--;
    free(leave);
}

static void end_leave(struct outbound *outbound, struct leave *leave)
{
    if (!is_seen_again(outbound, leave))
        queue_heartbeat(outbound, &leave->heartbeat, leave->country); /* was checked */
    drop_leave(outbound, leave);
}

/* Return the leave that is due next, or NULL. */
static struct leave *next_due(const struct outbound *outbound)
{
    struct leave *next = NULL;

    for (int i = 0; i <= HEARTBEAT_HOLD_MAX; i++) {
        struct leave *first = TAILQ_FIRST(&outbound->queues[i]);
        if (first && (!next || first->due_ns < next->due_ns))
            next = first;
    }
    return next;
}

/* Return a new leave, or NULL if there is no memory. */
static struct leave *new_leave(struct outbound *outbound, const struct heartbeat *heartbeat,
                               const char *country)
{
    struct leave *leave = calloc(1, sizeof(*leave));

    if (!leave)
        return NULL;
    leave->heartbeat = *heartbeat;
    get_id(heartbeat, leave->id);
    if (heartbeat->hold_s < 0)
        leave->heartbeat.hold_s = OUTBOUND_HOLD_S;
    strncpy(leave->country, country ? country : "", sizeof(leave->country) - 1);
    leave->due_ns = monotonic_ns() + leave->heartbeat.hold_s * NS_PER_S;
    leave->began_s = boot_second(0);
    leave->touched_s = last_touched(outbound, heartbeat);
    return leave;
}

/* Hold a leave; of two by one visitor keep the one that is due earlier. */
static int hold_leave(struct outbound *outbound, const struct heartbeat *heartbeat,
                      const char *country)
{
    struct leave *leave = new_leave(outbound, heartbeat, country);

    if (!leave)
        return -ENOMEM;
    struct leave **found = tfind(leave, &outbound->leaves, compare_leaves);
    if (found && (*found)->due_ns <= leave->due_ns) {
        free(leave);
        return 0;
    }
    if (found)
        drop_leave(outbound, *found);
    if (!tsearch(leave, &outbound->leaves, compare_leaves)) {
        free(leave);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(queue_of(outbound, leave), leave, by_age);
    if (++outbound->leave_count > OUTBOUND_LEAVES_MAX)
        end_leave(outbound, next_due(outbound));
    return 0;
}

static void forget_leave(struct outbound *outbound, const struct heartbeat *heartbeat)
{
    struct leave wanted = {.heartbeat = *heartbeat};

    record_touch(outbound, heartbeat);
    get_id(heartbeat, wanted.id);
    struct leave **found = tfind(&wanted, &outbound->leaves, compare_leaves);
    if (found)
        drop_leave(outbound, *found);
}

int outbound_send(struct outbound *outbound, const struct heartbeat *heartbeat, const char *country)
{
    if (heartbeat_leaves_site(heartbeat))
        return hold_leave(outbound, heartbeat, country);
    if (heartbeat->kind != PRESENCE_LEAVE)
        forget_leave(outbound, heartbeat);
    return queue_heartbeat(outbound, heartbeat, country);
}

int64_t outbound_run_timers(struct outbound *outbound, int64_t now_ns)
{
    struct leave *leave;

    while ((leave = next_due(outbound)) && leave->due_ns <= now_ns)
        end_leave(outbound, leave);
    flush(outbound);
    int64_t alive_ns = now_ns + ALIVE_NS;
    return leave && leave->due_ns < alive_ns ? leave->due_ns : alive_ns;
}

void outbound_close(struct outbound *outbound)
{
    struct leave *leave;

    if (!outbound)
        return;
    while ((leave = next_due(outbound)))
        end_leave(outbound, leave);
    for (size_t i = 0; i < outbound->target_count; i++)
        presence_sender_close(outbound->targets[i].sender);
    free(outbound);
}
