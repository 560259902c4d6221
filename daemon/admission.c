#include "admission.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "collector.h"
#include "common/log.h"
#include "config.h"
#include "core/atomics.h"

/* Every kind of scope has budgets of its own: a sender's number plus this step times the kind falls
 * into another set and has another fingerprint (budget.c). */
#define KIND_STEP UINT64_C(0x9e3779b97f4a7c15)

static int open_budgets(const struct config *config, struct admission *admission)
{
    int r = 0;

    if (getrandom(&admission->secret, sizeof(admission->secret), 0) < 0)
        r = -errno;
    if (r == 0 && config->sender_rate)
        r = budget_open(config->sender_rate, &admission->datagrams);
    if (r == 0 && config->sender_new)
        r = budget_open(config->sender_new, &admission->visitors);
    return r;
}

int admission_open(struct config *config, struct admission *ret)
{
    struct admission admission = {.keys_path = config->keys};
    char problem[KEY_FILE_PROBLEM_SIZE];
    int r = open_budgets(config, &admission);

    if (r == 0)
        r = networks_build(config->allow.items, config->allow.count, &admission.networks);
    if (r < 0)
        log_line("cannot limit senders: %s", strerror(-r));
    if (r == 0 && config->keys && keys_load(config->keys, &admission.keys, problem) < 0) {
        log_line("cannot use the keys: %s", problem);
        r = -EINVAL;
    }
    if (r < 0) {
        admission_close(&admission);
        return r;
    }
    admission.sites = config->sites;
    config->sites = (struct sites){0};
    *ret = admission;
    return 0;
}

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

bool admission_wants_sender(const struct admission *admission)
{
    return has_networks(admission) || admission->datagrams || admission->visitors;
}

struct keys *admission_replace_keys(struct admission *admission, struct keys *keys)
{
    /* Pairs with admission_begin: a worker that loads the pointer sees the keys behind it. */
    return __atomic_exchange_n(&admission->keys, keys, __ATOMIC_ACQ_REL);
}

void admission_reload(struct admission *admission, struct collector *collector)
{
    char problem[KEY_FILE_PROBLEM_SIZE];
    struct keys *keys;

    if (!admission->keys_path)
        return;
    unsigned count = admission->keys->count;
    if (keys_load(admission->keys_path, &keys, problem) < 0) {
        collector_publish_keys(collector, count, problem);
        log_line("cannot use the keys: %s; the %u previous key%s stay%s in use", problem, count,
                 count == 1 ? "" : "s", count == 1 ? "s" : "");
        return;
    }
    count = keys->count;
    struct keys *old = admission_replace_keys(admission, keys);
    collector_wait_for_batches(collector);
    keys_free(old);
    collector_publish_keys(collector, count, "");
    log_line("reloaded %u key%s", count, count == 1 ? "" : "s");
}

void admission_view_init(struct admission *admission, struct admission_view *ret)
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
    view->keys =
        atomic_load_acquire(&view->admission->keys); /* pairs with admission_replace_keys */
    view->judges = view->keys || view->admission->sites.count;
    if (!view->keys)
        return;
    clock_gettime(CLOCK_REALTIME, &wall);
    view->wall_now = wall.tv_sec;
}

void admission_from(struct admission_view *view, const struct sockaddr *sender)
{
    const struct admission *admission = view->admission;

    if (!admission)
        return;
    view->welcome = !has_networks(admission) || networks_contain(&admission->networks, sender);
    if (admission->datagrams || admission->visitors)
        view->sender = budget_sender(admission->secret, sender);
}

bool admission_spend_visitor(const struct admission_view *view, uint64_t sender,
                             enum scope_kind kind)
{
    if (!admission_limits_visitors(view))
        return true;
    return budget_spend(view->admission->visitors, sender + (uint64_t)kind * KIND_STEP, view->now);
}

/* Text heartbeats carry no tag: with keys, they are accepted from the networks of --allow only;
 * admission_decode has checked that the sender is in one. */
static enum wire_reason authenticate(const struct admission_view *view, const uint8_t *datagram,
                                     uint32_t length, const struct wire_heartbeat *heartbeat)
{
    if (wire_is_native(datagram, length))
        return keys_verify(view->keys, datagram, length, heartbeat->key_id, heartbeat->sent_at,
                           view->wall_now);
    return has_networks(view->admission) ? WIRE_ACCEPTED : WIRE_UNAUTHENTICATED;
}

enum wire_reason admission_judge(const struct admission_view *view, const uint8_t *datagram,
                                 uint32_t length, const struct wire_heartbeat *heartbeat)
{
    enum wire_reason reason = WIRE_ACCEPTED;

    if (view->keys)
        reason = authenticate(view, datagram, length, heartbeat);
    if (reason != WIRE_ACCEPTED)
        return reason;
    return admission_counts_site(view, heartbeat->site) ? WIRE_ACCEPTED : WIRE_SITE;
}

enum wire_reason admission_decode_v2(const struct admission_view *view, const uint8_t *datagram,
                                     uint32_t length, struct wire_v2_datagram *ret)
{
    if (!admission_is_welcome(view))
        return WIRE_SENDER;
    enum wire_reason reason = wire_v2_decode(datagram, length, ret);
    if (reason != WIRE_ACCEPTED || !view->keys)
        return reason;
    return keys_verify(view->keys, datagram, length, ret->key_id, ret->sent_at, view->wall_now);
}
