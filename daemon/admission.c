#include "admission.h"

#include <time.h>

#include "core/atomics.h"

/* Apart from each other in both halves of a source: the set and the fingerprint. */
#define KIND_STEP UINT64_C(0x9e3779b97f4a7c15)

void admission_close(struct admission *admission)
{
    networks_free(&admission->networks);
    sites_free(&admission->sites);
    keys_free(admission->keys);
    budget_close(admission->datagrams);
    budget_close(admission->visitors);
    *admission = (struct admission){0};
}

static bool has_networks(const struct admission *admission)
{
    return admission->networks.count[0] + admission->networks.count[1] != 0;
}

bool admission_wants_source(const struct admission *admission)
{
    return has_networks(admission) || admission->datagrams || admission->visitors;
}

struct keys *admission_replace_keys(struct admission *admission, struct keys *keys)
{
    /* Pairs with admission_begin: whoever loads the pointer sees the keys behind it. */
    return __atomic_exchange_n(&admission->keys, keys, __ATOMIC_ACQ_REL);
}

void admission_look(struct admission *admission, struct admission_view *ret)
{
    *ret = (struct admission_view){.admission = admission};
    admission_from(ret, NULL);
}

void admission_begin(struct admission_view *view, uint64_t now)
{
    struct timespec wall;

    view->now = now;
    if (!view->admission)
        return;
    view->keys = atomic_load_acquire(&view->admission->keys); /* pairs with replacing them */
    view->judges = view->keys || view->admission->sites.count;
    if (!view->keys)
        return;
    clock_gettime(CLOCK_REALTIME, &wall);
    view->wall_now = wall.tv_sec;
}

void admission_from(struct admission_view *view, const struct sockaddr *source)
{
    const struct admission *admission = view->admission;

    if (!admission)
        return;
    view->welcome = !has_networks(admission) || networks_contain(&admission->networks, source);
    if (admission->datagrams || admission->visitors)
        view->source = budget_source(admission->secret, source);
}

bool admission_take_visitor(const struct admission_view *view, uint64_t source,
                            enum scope_kind kind)
{
    if (!admission_limits_visitors(view))
        return true;
    return budget_take(view->admission->visitors, source + (uint64_t)kind * KIND_STEP, view->now);
}

/* With keys, a text heartbeat is believed for where it comes from, which only a list can say. */
static enum wire_reason authenticate(const struct admission_view *view, const uint8_t *datagram,
                                     uint32_t length, const struct wire_heartbeat *heartbeat)
{
    if (wire_is_native(datagram, length))
        return keys_verify(view->keys, datagram, length, heartbeat, view->wall_now);
    return has_networks(view->admission) ? WIRE_ACCEPTED : WIRE_UNAUTHENTICATED;
}

enum wire_reason admission_judge(const struct admission_view *view, const uint8_t *datagram,
                                 uint32_t length, const struct wire_heartbeat *heartbeat)
{
    const struct sites *sites = &view->admission->sites;
    enum wire_reason reason = WIRE_ACCEPTED;

    if (view->keys)
        reason = authenticate(view, datagram, length, heartbeat);
    if (reason != WIRE_ACCEPTED || sites->count == 0)
        return reason;
    return sites_contain(sites, heartbeat->site.bytes, heartbeat->site.length) ? WIRE_ACCEPTED
                                                                               : WIRE_SITE;
}
