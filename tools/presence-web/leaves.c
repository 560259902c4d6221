#include "leaves.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/monotonic.h"

struct leave {
    TAILQ_ENTRY(leave) by_age;
    struct heartbeat heartbeat;
    char country[3];
    int64_t due_ns;
};

struct leaves {
    struct forwarder *forwarder;
    size_t count;
    void *visitors; /* leaves, searched by tsearch(3) */
    TAILQ_HEAD(, leave) by_age;
};

struct leaves *leaves_new(struct forwarder *forwarder)
{
    struct leaves *leaves = calloc(1, sizeof(*leaves));

    if (!leaves)
        return NULL;
    leaves->forwarder = forwarder;
    TAILQ_INIT(&leaves->by_age);
    return leaves;
}

static int compare(const void *left, const void *right)
{
    const struct leave *a = left, *b = right;
    int order = strcmp(a->heartbeat.visitor, b->heartbeat.visitor);

    return order ? order : strcmp(a->heartbeat.place.site, b->heartbeat.place.site);
}

static void drop(struct leaves *leaves, struct leave *leave)
{
    tdelete(leave, &leaves->visitors, compare);
    TAILQ_REMOVE(&leaves->by_age, leave, by_age);
    leaves->count--;
    free(leave);
}

static void send_off(struct leaves *leaves, struct leave *leave)
{
    struct presence_place place = heartbeat_place(&leave->heartbeat, leave->country);

    forwarder_send(leaves->forwarder, &place, leave->heartbeat.visitor); /* was checked */
    drop(leaves, leave);
}

int leaves_hold(struct leaves *leaves, const struct heartbeat *heartbeat, const char *country,
                int64_t now_ns)
{
    struct leave *leave = calloc(1, sizeof(*leave));

    if (!leave)
        return -ENOMEM;
    leave->heartbeat = *heartbeat;
    strncpy(leave->country, country ? country : "", sizeof(leave->country) - 1);
    leave->due_ns = now_ns + LEAVES_HELD_NS;
    struct leave **found = tsearch(leave, &leaves->visitors, compare);
    if (!found || *found != leave) {
        free(leave);
        return found ? 0 : -ENOMEM; /* it is held already */
    }
    TAILQ_INSERT_TAIL(&leaves->by_age, leave, by_age);
    if (++leaves->count > LEAVES_MAX)
        send_off(leaves, TAILQ_FIRST(&leaves->by_age));
    return 0;
}

void leaves_forget(struct leaves *leaves, const struct heartbeat *heartbeat)
{
    struct leave wanted = {.heartbeat = *heartbeat};
    struct leave **found = tfind(&wanted, &leaves->visitors, compare);

    if (found)
        drop(leaves, *found);
}

int64_t leaves_look(struct leaves *leaves, int64_t now_ns)
{
    struct leave *leave;

    while ((leave = TAILQ_FIRST(&leaves->by_age))) {
        if (leave->due_ns > now_ns)
            return leave->due_ns;
        send_off(leaves, leave);
    }
    return INT64_MAX;
}

void leaves_free(struct leaves *leaves)
{
    if (!leaves)
        return;
    leaves_look(leaves, INT64_MAX);
    free(leaves);
}
