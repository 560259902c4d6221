#include "intake.h"

#include "access.h"
#include "bots.h"
#include "leaves.h"
#include "common/monotonic.h"

bool intake_admit(const struct web *web, const struct client *client, struct problem *problem)
{
    unsigned wait_s;

    if (limiter_take(web->limiter, &client->host, monotonic_ns(), &wait_s))
        return true;
    problem_set(problem, MHD_HTTP_TOO_MANY_REQUESTS, "rate_limited",
                "too many heartbeats from one client: see --client-rate");
    problem->retry_s = wait_s;
    return false;
}

bool intake_read(const struct web *web, const struct http_request *request,
                 const struct heartbeat_fields *fields, struct heartbeat *ret,
                 struct problem *problem)
{
    int64_t expires;

    if (!heartbeat_read(web, fields, ret, problem))
        return false;
    struct token_use use = {
        .place = &ret->place,
        .visitor = ret->visitor,
        .leaves_site = heartbeat_leaves_site(ret),
    };
    return access_may_use(web, request, fields->token, &use, &expires, problem);
}

bool intake_forward(struct web *web, const struct http_request *request,
                    const struct client *client, const struct heartbeat *heartbeat)
{
    const char *country = client_country(web, request, client);
    struct presence_place place = heartbeat_place(heartbeat, country);

    if (!web->options.count_bots && bots_is_one(http_request_header(request, "User-Agent")))
        return false;
    if (heartbeat_leaves_site(heartbeat))
        return leaves_hold(web->leaves, heartbeat, country, monotonic_ns()) == 0;
    if (heartbeat->kind != PRESENCE_LEAVE)
        leaves_forget(web->leaves, heartbeat);
    return forwarder_send(web->forwarder, &place, heartbeat->visitor) == 0;
}
