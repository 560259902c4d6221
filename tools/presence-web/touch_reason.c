#include "touch.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "totals.h"

#define RECENT_S 1 /* greatest age, in ticks, of a heartbeat that was just sent */

const char *const touch_counters[TOUCH_COUNTERS] = {
    [TOUCH_ACCEPTED] = "datagrams_accepted",
    [TOUCH_TABLE_FULL] = "table_full",
    [TOUCH_LABEL_TABLE_FULL] = "label_table_full",
    [TOUCH_SENDER_NEW] = "sender_new_exceeded",
    [TOUCH_LABEL_SENDER_NEW] = "label_sender_new_exceeded",
    [TOUCH_ROOMS_FULL] = "site_rooms_full",
    [TOUCH_SENDER_RATE] = "sender_rate_exceeded",
    [TOUCH_REJECTED_SENDER] = "datagrams_rejected_sender",
    [TOUCH_REJECTED_UNAUTHENTICATED] = "datagrams_rejected_unauthenticated",
    [TOUCH_REJECTED_STALE] = "datagrams_rejected_stale",
    [TOUCH_REJECTED_SITE] = "datagrams_rejected_site",
};

__attribute__((format(printf, 2, 3))) static struct touch_reason reason(const char *code,
                                                                        const char *message, ...)
{
    struct touch_reason made = {.code = code};
    va_list arguments;

    va_start(arguments, message);
    vsnprintf(made.message, sizeof(made.message), message, arguments);
    va_end(arguments);
    return made;
}

struct touch_reason touch_reason_unsent(enum touch_outcome outcome)
{
    switch (outcome) {
    case TOUCH_BOT:
        return reason("known_bot", "this browser names itself as a crawler, a previewer, a monitor "
                                   "or headless: see --count-bots");
    case TOUCH_PREFETCH:
        return reason("not_sent", "the page is prefetched or prerendered: nobody looks at it yet");
    default:
        return reason("not_sent", "this server could not send it: out of memory");
    }
}

static struct touch_reason reason_stale_total(const struct totals *totals,
                                              const struct number *number)
{
    const char *code = "collector_stale";

    if (*totals_problem(totals))
        return reason(code, "totals can't be read from the engine: see this server's log");
    if (!number->has_time)
        return reason(code, "totals have not been read from the engine yet");
    return reason(code,
                  "no group of collectors is whole since %" PRIu64 " s: see presencectl "
                  "status --engine",
                  number->as_of_age_s);
}

struct touch_reason touch_reason_stale(const struct web *web, const struct number *number)
{
    const char *code = "collector_stale";
    const struct totals *totals = live_totals(web->live);
    struct presence_status status;

    if (totals)
        return reason_stale_total(totals, number);
    if (!number->has_time || live_status(web->live, &status) < 0)
        return reason(code, "there is no collector: start presenced, or see --segment");
    if (status.state == PRESENCE_STARTING)
        return reason(code, "the collector is starting");
    if (status.state == PRESENCE_STOPPED)
        return reason(code, "the collector has stopped");
    return reason(code, "the collector has been silent for %" PRIu64 " s", number->as_of_age_s);
}

/* ---- sent, and not counted ------------------------------------------------------------------ */

/* The counters that have risen. */
struct changes {
    bool lost;
    bool counters[TOUCH_COUNTERS];
};

static struct changes changes_between(const struct touch_sample *before,
                                      const struct touch_sample *now)
{
    struct changes changes = {.lost = now->lost > before->lost};

    for (int i = 0; i < TOUCH_COUNTERS; i++)
        changes.counters[i] = now->counters[i] > before->counters[i];
    return changes;
}

/* Name the limit by which the collector refused visitors of the site, or those of its rooms. False
 * if neither was hit. */
static bool find_limit(const struct changes *changes, bool of_rooms, struct touch_reason *ret)
{
    const char *where = of_rooms ? "counted in the site, but not in the room: " : "";

    if (changes->counters[of_rooms ? TOUCH_LABEL_TABLE_FULL : TOUCH_TABLE_FULL])
        *ret = reason("table_full", "%sthe collector's table is full: see presenced --max-entries",
                      where);
    else if (changes->counters[of_rooms ? TOUCH_LABEL_SENDER_NEW : TOUCH_SENDER_NEW])
        *ret = reason("sender_limit",
                      "%sthis server sends more new visitors than one sender may: see presenced "
                      "--sender-new",
                      where);
    else
        return false;
    return true;
}

/* Name the limit by which the collector refused such a visitor just now. False if it did not. */
static bool find_refusal(const struct web *web, const struct heartbeat *heartbeat,
                         const struct changes *changes, struct touch_reason *ret)
{
    struct presence *presence = live_presence(web->live);
    const char *site = heartbeat->place.site, *room = place_room(&heartbeat->place);
    struct presence_reading seen;

    if (!presence)
        return false;
    bool in_site = presence_seen(presence, site, heartbeat->visitor, &seen) == 0 && seen.exists &&
                   seen.last_heartbeat_s <= RECENT_S;
    bool of_rooms = room && in_site;
    switch (presence_refused(presence, of_rooms ? PRESENCE_ROOM : PRESENCE_SITE, site, room)) {
    case PRESENCE_REFUSED_NONE:
        return false;
    case PRESENCE_REFUSED_VISITOR:
        if (!find_limit(changes, of_rooms, ret))
            return false;
        ret->in_site = of_rooms;
        return true;
    case PRESENCE_REFUSED_SCOPE:
        break;
    }
    if (!of_rooms)
        *ret = reason("scopes_full", "the collector has no room for another site: see presenced "
                                     "--max-scopes");
    else
        *ret =
            reason("scopes_full",
                   "counted in the site, but it has no room for another room: "
                   "see presenced %s",
                   changes->counters[TOUCH_ROOMS_FULL] ? "--max-rooms-per-site" : "--max-scopes");
    ret->in_site = of_rooms;
    return true;
}

/* Guess from the datagrams that the collector rejected just now. They may be another sender's, and
 * the message says so. */
static struct touch_reason guess_rejection(const struct changes *changes)
{
    const bool *rose = changes->counters;

    if (rose[TOUCH_SENDER_RATE])
        return reason("sender_limit", "the collector refuses senders over their rate, and this "
                                      "server may be one: see presenced --sender-rate");
    const char *cause = rose[TOUCH_REJECTED_UNAUTHENTICATED] ? "unsigned ones: see --key-file"
                        : rose[TOUCH_REJECTED_STALE]         ? "old ones: compare the clocks"
                        : rose[TOUCH_REJECTED_SITE]          ? "some sites: see presenced --site"
                        : rose[TOUCH_REJECTED_SENDER]        ? "some senders: see presenced --allow"
                                                             : NULL;
    if (cause)
        return reason(TOUCH_NOT_SEEN,
                      "the collector rejects heartbeats, and this may be one; it "
                      "rejected %s",
                      cause);
    return reason(TOUCH_NOT_SEEN, "the collector has not counted it in time: it may be busy, or "
                                  "--to leads to another one");
}

struct touch_reason touch_reason_find(const struct web *web, const struct heartbeat *heartbeat,
                                      const struct touch_sample *before,
                                      const struct touch_sample *now)
{
    struct changes changes = changes_between(before, now);
    struct touch_reason found;

    if (find_refusal(web, heartbeat, &changes, &found))
        return found;
    if (changes.lost)
        return reason("not_sent", "heartbeats do not reach the collector: see --to, and this "
                                  "server's log");
    if (live_totals(web->live))
        return reason(TOUCH_NOT_SEEN,
                      "no group has published its counts anew within 3 s: they may lack "
                      "this heartbeat");
    return guess_rejection(&changes);
}
