/* admission.h - decide which datagrams are counted, by their sender, signature and site.
 *
 * A check that is not configured admits everything. The settings are fixed while workers run,
 * except for the keys, which can be reloaded.
 */
#ifndef PRESENCED_ADMISSION_H
#define PRESENCED_ADMISSION_H

#include "budget.h"
#include "common/networks.h"
#include "core/scope.h"
#include "core/text.h"
#include "keys.h"
#include "sites.h"

struct collector;
struct config;

struct admission {
    struct networks networks; /* senders elsewhere are rejected; empty: all are admitted */
    struct sites sites;       /* other sites are rejected; empty: all are counted */
    const char *keys_path;    /* NULL: no keys */
    struct keys *keys;        /* NULL: tags are not checked; see admission_replace_keys */
    struct budget *datagrams; /* per sender and second; NULL: no limit */
    struct budget *visitors;  /* new ones per sender, second and kind of scope; NULL: no limit */
    uint64_t secret;          /* seed of the senders' numbers (budget_sender) */
};

/* Set up the checks that the configuration asks for and load the keys. `config` has to outlive
 * `ret`; its sites move there. Free with admission_close. Errors, each with a line in the log:
 * -EINVAL the keys cannot be used; -ENOMEM; those of getrandom(2). */
int admission_open(struct config *config, struct admission *ret);

/* Free everything that the admission holds. No worker may be running. */
void admission_close(struct admission *admission);

/* True if any check depends on the sender. */
bool admission_wants_sender(const struct admission *admission);

/* Replace the keys from the workers' next batch on. Returns the old ones, to be freed once every
 * worker has passed a batch boundary. Any thread, one at a time. */
struct keys *admission_replace_keys(struct admission *admission, struct keys *keys);

/* Load the key file again, if there is one; a file that cannot be used changes nothing, and the
 * status says why until a later one is taken. Writes a line to the log. Any thread outside a batch.
 */
void admission_reload(struct admission *admission, struct collector *collector);

/* One worker's view of the admission. */
struct admission_view {
    struct admission *admission; /* NULL: everything is admitted */
    const struct keys *keys;     /* of this batch */
    int64_t wall_now;            /* Unix seconds; only with keys */
    uint64_t now;                /* tick */
    uint64_t sender;             /* number of the sender whose budgets are charged */
    bool welcome;                /* the sender is in the networks, or there are none */
    bool judges;                 /* there are keys or sites to check */
};

/* Initialise a view of `admission`, which may be NULL, with an unknown sender. */
void admission_view_init(struct admission *admission, struct admission_view *ret);

/* Begin a batch at tick `now`. */
void admission_begin(struct admission_view *view, uint64_t now);

/* Set the sender of the datagrams that follow; NULL: unknown. */
void admission_from(struct admission_view *view, const struct sockaddr *sender);

/* True if the sender may send at all. */
static inline bool admission_is_welcome(const struct admission_view *view)
{
    return !view->admission || view->welcome;
}

/* True if a sender's new visitors are limited. */
static inline bool admission_limits_visitors(const struct admission_view *view)
{
    return view->admission && view->admission->visitors;
}

/* Charge the sender for one datagram. Returns false if it has sent too many in this second. */
static inline bool admission_spend_datagram(const struct admission_view *view)
{
    return !view->admission || !view->admission->datagrams ||
           budget_spend(view->admission->datagrams, view->sender, view->now);
}

/* Charge `sender` (the view's when the datagram was decoded) for one new visitor in a scope of this
 * kind. Returns false if it has sent too many in this second. */
bool admission_spend_visitor(const struct admission_view *view, uint64_t sender,
                             enum scope_kind kind);

/* Judge the tag, the time and the site of a datagram of version 1 or of text that was parsed as
 * `heartbeat`. */
enum wire_reason admission_judge(const struct admission_view *view, const uint8_t *datagram,
                                 uint32_t length, const struct wire_heartbeat *heartbeat);

/* Parse a datagram of version 1 or of text and judge it. Returns the first reason that fits, in the
 * order of enum wire_reason. `*ret` is meaningful only with WIRE_ACCEPTED. */
static inline enum wire_reason admission_decode(const struct admission_view *view,
                                                const uint8_t *datagram, uint32_t length,
                                                struct wire_scratch *scratch,
                                                struct wire_heartbeat *ret)
{
    if (!admission_is_welcome(view))
        return WIRE_SENDER;
    enum wire_reason reason = wire_is_native(datagram, length)
                                  ? wire_v1_decode(datagram, length, scratch, ret)
                                  : text_decode(datagram, length, scratch, ret);
    return reason == WIRE_ACCEPTED && view->judges ? admission_judge(view, datagram, length, ret)
                                                   : reason;
}

/* Parse a datagram of version 2 and judge it likewise, except for its stream and its sites. */
enum wire_reason admission_decode_v2(const struct admission_view *view, const uint8_t *datagram,
                                     uint32_t length, struct wire_v2_datagram *ret);

/* Return the id of the key that has signed a datagram, or 0 if tags are not checked. */
static inline uint8_t admission_identity(const struct admission_view *view,
                                         const struct wire_v2_datagram *datagram)
{
    return view->keys ? datagram->key_id : 0;
}

/* True if only some sites are counted (--site). */
static inline bool admission_limits_sites(const struct admission_view *view)
{
    return view->admission && view->admission->sites.count;
}

/* True if a site, in canonical form, is counted. */
static inline bool admission_counts_site(const struct admission_view *view, struct wire_name site)
{
    return !admission_limits_sites(view) ||
           sites_contain(&view->admission->sites, site.bytes, site.length);
}

#endif
