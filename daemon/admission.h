/* admission.h - whose heartbeats are counted, and for which sites: everything that is judged beside
 * the datagram itself.
 *
 * What is not configured admits everything. The settings stay as they are while workers run, but
 * for the keys, which can be replaced.
 */
#ifndef PRESENCED_ADMISSION_H
#define PRESENCED_ADMISSION_H

#include "budget.h"
#include "keys.h"
#include "common/networks.h"
#include "core/scope.h"
#include "core/text.h"
#include "sites.h"

struct admission {
    struct networks networks; /* datagrams from elsewhere are rejected; none: from anywhere */
    struct sites sites;       /* others are rejected; none: all are counted */
    struct keys *keys;        /* NULL: tags are not looked at; see admission_replace_keys */
    struct budget *datagrams; /* of a source a second; NULL: no limit */
    struct budget *visitors;  /* new ones of a source a second, for each kind of scope; or NULL */
    uint64_t secret;          /* of the budgets' sources */
};

/* Free everything that it holds. */
void admission_close(struct admission *admission);

/* Does any of it depend on where datagrams come from? */
bool admission_wants_source(const struct admission *admission);

/* Let workers take other keys from their next batch on. Returns the old ones, to be freed once
 * every worker has passed a batch boundary. Any thread, one at a time. */
struct keys *admission_replace_keys(struct admission *admission, struct keys *keys);

/* One worker's view of it. */
struct admission_view {
    struct admission *admission; /* NULL: everything is admitted */
    const struct keys *keys;     /* of this batch */
    int64_t wall_now;            /* Unix seconds; only with keys */
    uint64_t now;                /* tick */
    uint64_t source;             /* whose budgets are used */
    bool welcome;                /* the source is in the networks */
    bool judges;                 /* there are keys, or sites */
};

/* Begin to look at `admission` (NULL is fine), at datagrams from an unknown source. */
void admission_look(struct admission *admission, struct admission_view *ret);

/* A batch begins at tick `now`. */
void admission_begin(struct admission_view *view, uint64_t now);

/* The datagrams that follow come from this address; NULL: unknown. */
void admission_from(struct admission_view *view, const struct sockaddr *source);

/* Is the source in the networks? */
static inline bool admission_is_welcome(const struct admission_view *view)
{
    return !view->admission || view->welcome;
}

/* Is there a limit to new visitors? */
static inline bool admission_limits_visitors(const struct admission_view *view)
{
    return view->admission && view->admission->visitors;
}

/* Take one datagram of the source's; false when it has sent too many in this second. */
static inline bool admission_take_datagram(const struct admission_view *view)
{
    return !view->admission || !view->admission->datagrams ||
           budget_take(view->admission->datagrams, view->source, view->now);
}

/* Take a visitor whom `source` (of the view, when their datagram was decoded) brings and who is new
 * in a scope of this kind; false when it has brought too many in this second. */
bool admission_take_visitor(const struct admission_view *view, uint64_t source,
                            enum scope_kind kind);

/* Judge the tag, the time and the site of a datagram that was read as `heartbeat`. */
enum wire_reason admission_judge(const struct admission_view *view, const uint8_t *datagram,
                                 uint32_t length, const struct wire_heartbeat *heartbeat);

/* Read a datagram, as wire_decode or text_decode do, and judge it: the first reason that fits, in
 * the order of enum wire_reason. `*ret` means something only with WIRE_ACCEPTED. */
static inline enum wire_reason admission_decode(const struct admission_view *view,
                                                const uint8_t *datagram, uint32_t length,
                                                struct wire_scratch *scratch,
                                                struct wire_heartbeat *ret)
{
    if (!admission_is_welcome(view))
        return WIRE_SOURCE;
    enum wire_reason reason = wire_is_native(datagram, length)
                                  ? wire_decode(datagram, length, scratch, ret)
                                  : text_decode(datagram, length, scratch, ret);
    return reason == WIRE_ACCEPTED && view->judges ? admission_judge(view, datagram, length, ret)
                                                   : reason;
}

#endif
