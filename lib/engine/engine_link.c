#include "engine_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/key_file.h"
#include "common/monotonic.h"
#include "engine_address.h"
#include "engine_connection.h"
#include "engine_problem.h"

struct engine_link {
    struct engine_address address;
    char *user, *password, *password_file; /* or NULL */
    struct engine_connection connection;
    struct engine_lookups *lookups;
    unsigned host;        /* of `address`, to be tried first */
    struct address moved; /* where a cluster has the keys; its port is 0 if nobody said so */
    uint64_t connections;
    char problem[ENGINE_PROBLEM_SIZE];
};

/* ---- opening and closing --------------------------------------------------------------------- */

/* Read the first line as it is: a password may have blanks, or begin with #. */
static int load_password(const char *path, char **ret, char *ret_problem)
{
    struct key_file file;
    const char *problem;
    int r = key_file_open(path, &file, &problem);

    if (r < 0)
        return engine_fail(ret_problem, r, "cannot read the password file %s: %s", path, problem);
    file.text[strcspn(file.text, "\r\n")] = '\0';
    char *password = strdup(file.text);
    key_file_close(&file);
    if (!password)
        return engine_fail(ret_problem, -ENOMEM, "out of memory");
    if (!*password) {
        free(password);
        return engine_fail(ret_problem, -EINVAL,
                           "the first line of %s is empty; it should be the "
                           "password",
                           path);
    }
    *ret = password;
    return 0;
}

static int link_open(struct engine_link *link, const struct engine_options *options,
                     char *ret_problem)
{
    char problem[ENGINE_URL_PROBLEM_SIZE];

    link->connection.socket = -1;
    if (engine_lookups_open(&link->lookups) < 0)
        return engine_fail(ret_problem, -ENOMEM, "out of memory");
    if (engine_address_parse(options->url, &link->address, problem) < 0)
        return engine_fail(ret_problem, -EINVAL, "wrong URL: %s", problem);
    if (link->address.kind != ENGINE_SOCKET)
        engine_lookups_prepare();
    if (options->user && !options->password_file)
        return engine_fail(ret_problem, -EINVAL, "a user needs a password: use --password-file");
    link->user = options->user ? strdup(options->user) : NULL;
    link->password_file = options->password_file ? strdup(options->password_file) : NULL;
    if ((options->user && !link->user) || (options->password_file && !link->password_file))
        return engine_fail(ret_problem, -ENOMEM, "out of memory");
    return engine_link_reload(link, ret_problem);
}

static void forget_password(struct engine_link *link)
{
    if (link->password)
        explicit_bzero(link->password, strlen(link->password));
    free(link->password);
    link->password = NULL;
}

int engine_link_reload(struct engine_link *link, char ret_problem[ENGINE_PROBLEM_SIZE])
{
    char *password = NULL;

    if (link->password_file) {
        int r = load_password(link->password_file, &password, ret_problem);
        if (r < 0)
            return r;
    }
    forget_password(link);
    link->password = password;
    engine_connection_close(&link->connection);
    return 0;
}

int engine_link_open(const struct engine_options *options, struct engine_link **ret,
                     char ret_problem[ENGINE_PROBLEM_SIZE])
{
    struct engine_link *link = calloc(1, sizeof(*link));

    if (!link)
        return engine_fail(ret_problem, -ENOMEM, "out of memory");
    int r = link_open(link, options, ret_problem);
    if (r < 0) {
        engine_link_close(link);
        return r;
    }
    *ret = link;
    return 0;
}

void engine_link_close(struct engine_link *link)
{
    if (!link)
        return;
    engine_connection_close(&link->connection);
    engine_lookups_close(link->lookups);
    forget_password(link);
    free(link->password_file);
    free(link->user);
    free(link);
}

int engine_link_prepare(struct engine_link *link)
{
    return engine_lookups_start(link->lookups);
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* Send one command of a new connection. An error that the engine answers is only an error of ours
 * if it ends calls. */
static int ask(struct engine_link *link, const struct engine_request *request, int64_t deadline_ns,
               redisReply **ret)
{
    struct engine_connection *connection = &link->connection;
    char said[ENGINE_PROBLEM_SIZE];
    redisReply **replies;

    if (request->failed)
        return engine_fail(link->problem, -ENOMEM, "out of memory");
    int r = engine_connection_call(connection, request, deadline_ns, &replies, link->problem);
    if (r < 0)
        return r;
    redisReply *reply = replies[0];
    free(replies);
    r = engine_reply_ends_call(reply);
    if (r < 0) {
        engine_reply_problem(reply, said);
        engine_fail(link->problem, r, "%s: %s", connection->peer, said);
        freeReplyObject(reply);
        return r;
    }
    *ret = reply;
    return 0;
}

static int authenticate(struct engine_link *link, int64_t deadline_ns)
{
    struct engine_request request = {0};
    char said[ENGINE_PROBLEM_SIZE];
    redisReply *reply = NULL;

    if (!link->password)
        return 0;
    if (link->user)
        engine_request_add(&request, "AUTH", link->user, link->password, NULL);
    else
        engine_request_add(&request, "AUTH", link->password, NULL);
    int r = ask(link, &request, deadline_ns, &reply);
    if (request.bytes)
        explicit_bzero(request.bytes, request.length);
    engine_request_free(&request);
    if (r < 0)
        return r;
    if (reply->type != REDIS_REPLY_STATUS) {
        engine_reply_problem(reply, said);
        r = engine_fail(link->problem, -EACCES, "%s: %s", link->connection.peer, said);
    }
    freeReplyObject(reply);
    return r;
}

/* Check that a Sentinel's master calls itself one: until they notice, it may have been another's.
 */
static int check_role(struct engine_link *link, int64_t deadline_ns)
{
    struct engine_request request = {0};
    char said[ENGINE_PROBLEM_SIZE];
    const char *peer = link->connection.peer;
    redisReply *reply = NULL;

    engine_request_add(&request, "ROLE", NULL);
    int r = ask(link, &request, deadline_ns, &reply);
    engine_request_free(&request);
    if (r < 0)
        return r;
    if (reply->type == REDIS_REPLY_ERROR) {
        engine_reply_problem(reply, said);
        r = engine_fail(link->problem, -EACCES, "%s: %s", peer, said);
    } else if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
               reply->element[0]->type != REDIS_REPLY_STRING ||
               strcmp(reply->element[0]->str, "master") != 0) {
        r = engine_fail(link->problem, -EROFS, "%s is no master, though a Sentinel says so", peer);
    }
    freeReplyObject(reply);
    return r;
}

static int connect_host(struct engine_link *link, const struct address *host, int64_t deadline_ns)
{
    int r =
        engine_connection_host(&link->connection, host, link->lookups, deadline_ns, link->problem);

    return r < 0 ? r : authenticate(link, deadline_ns);
}

/* Ask a Sentinel with the password, if it wants one: not every Sentinel has that of its master. */
static int ask_sentinel(struct engine_link *link, int64_t deadline_ns, redisReply **ret)
{
    struct engine_request request = {0};

    engine_request_add(&request, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", link->address.master, NULL);
    int r = ask(link, &request, deadline_ns, ret);
    if (r == -EACCES && link->password) {
        r = authenticate(link, deadline_ns);
        if (r == 0)
            r = ask(link, &request, deadline_ns, ret);
    }
    engine_request_free(&request);
    return r;
}

/* Take the master's address from a Sentinel's reply. */
static int parse_master(struct engine_link *link, const redisReply *reply, struct address *ret)
{
    const char *peer = link->connection.peer;
    char said[ENGINE_PROBLEM_SIZE], text[ADDRESS_SIZE];
    const char *host, *port;

    if (reply->type == REDIS_REPLY_NIL)
        return engine_fail(link->problem, -EHOSTUNREACH,
                           "the Sentinel %s knows no master %s; check its name", peer,
                           link->address.master);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        engine_reply_problem(reply, said);
        return engine_fail(link->problem, -EHOSTUNREACH, "%s: %s; is it a Sentinel?", peer, said);
    }
    host = reply->element[0]->str;
    port = reply->element[1]->str;
    int length = snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    if (length >= (int)sizeof(text) || address_split_peer(text, ret) < 0)
        return engine_fail(link->problem, -EPROTO, "the Sentinel %s names no master's address",
                           peer);
    return 0;
}

/* Ask one Sentinel for the master, and connect to that. */
static int connect_master(struct engine_link *link, const struct address *sentinel,
                          int64_t deadline_ns)
{
    struct address master;
    redisReply *reply = NULL;
    int r = engine_connection_host(&link->connection, sentinel, link->lookups, deadline_ns,
                                   link->problem);

    if (r == 0)
        r = ask_sentinel(link, deadline_ns, &reply);
    if (r < 0)
        return r;
    r = parse_master(link, reply, &master);
    freeReplyObject(reply);
    engine_connection_close(&link->connection);
    if (r == 0)
        r = connect_host(link, &master, deadline_ns);
    return r < 0 ? r : check_role(link, deadline_ns);
}

/* Try all hosts in turn, each for its part of the time. */
static int connect_any(struct engine_link *link, int64_t deadline_ns)
{
    const struct engine_address *address = &link->address;
    int r = -EHOSTUNREACH;

    for (unsigned left = address->host_count; left > 0; left--) {
        const struct address *host = &address->hosts[link->host];
        int64_t now = monotonic_ns();
        int64_t until = now + (deadline_ns - now) / left;

        r = address->kind == ENGINE_SENTINELS ? connect_master(link, host, until)
                                              : connect_host(link, host, until);
        if (r == 0)
            return 0;
        engine_connection_close(&link->connection);
        link->host = (link->host + 1) % address->host_count;
    }
    return r;
}

static int connect_path(struct engine_link *link, int64_t deadline_ns)
{
    int r =
        engine_connection_path(&link->connection, link->address.path, deadline_ns, link->problem);

    return r < 0 ? r : authenticate(link, deadline_ns);
}

static int connect_link(struct engine_link *link, int64_t deadline_ns)
{
    const struct address moved = link->moved;
    int64_t now = monotonic_ns();
    int r = -ENOTCONN;

    link->moved = (struct address){0}; /* it is asked again if this doesn't work */
    if (moved.number != 0)
        r = connect_host(link, &moved, now + (deadline_ns - now) / 2);
    if (r < 0) {
        engine_connection_close(&link->connection);
        r = link->address.kind == ENGINE_SOCKET ? connect_path(link, deadline_ns)
                                                : connect_any(link, deadline_ns);
    }
    if (r < 0)
        engine_connection_close(&link->connection);
    else
        link->connections++;
    return r;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* Parse `MOVED SLOT HOST:PORT`. An empty host is the one that said so; an IPv6 address has no
 * brackets. */
static int parse_moved(const struct engine_link *link, const redisReply *reply, struct address *ret)
{
    char host[ADDRESS_HOST_SIZE], text[ADDRESS_SIZE];
    struct address peer;
    const char *port;
    int end = 0;

    if (sscanf(reply->str, "MOVED %*5[0-9] %n", &end) < 0 || end == 0)
        return -EPROTO;
    const char *from = reply->str + end;
    port = strrchr(from, ':');
    if (!port || port - from >= (int)sizeof(host))
        return -EPROTO;
    snprintf(host, sizeof(host), "%.*s", (int)(port - from), from);
    if (!*host) {
        if (address_split(link->connection.peer, &peer) < 0)
            return -EPROTO;
        snprintf(host, sizeof(host), "%s", peer.host);
    }
    int length = snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]%s" : "%s%s", host, port);
    if (length >= (int)sizeof(text))
        return -EPROTO;
    return address_split_peer(text, ret);
}

/* Find the first reply that ends the call. */
static int judge_replies(struct engine_link *link, redisReply *const *replies, size_t count)
{
    char said[ENGINE_PROBLEM_SIZE];

    for (size_t i = 0; i < count; i++) {
        int r = engine_reply_ends_call(replies[i]);
        if (r == 0)
            continue;
        engine_reply_problem(replies[i], said);
        engine_fail(link->problem, r, "%s: %s", link->connection.peer, said);
        if (engine_reply_is(replies[i], "MOVED"))
            parse_moved(link, replies[i], &link->moved); /* otherwise the hosts are asked again */
        return r;
    }
    return 0;
}

/* One attempt of a call. */
static int call_once(struct engine_link *link, const struct engine_request *request,
                     int64_t deadline_ns, redisReply ***ret)
{
    redisReply **replies;
    int r = link->connection.socket < 0 ? connect_link(link, deadline_ns) : 0;

    if (r == 0)
        r = engine_connection_call(&link->connection, request, deadline_ns, &replies,
                                   link->problem);
    if (r < 0)
        return r;
    r = judge_replies(link, replies, request->commands);
    if (r < 0) {
        engine_replies_free(replies, request->commands);
        return r;
    }
    *ret = replies;
    return 0;
}

int engine_link_call(struct engine_link *link, const struct engine_request *request,
                     int64_t deadline_ns, redisReply ***ret)
{
    link->problem[0] = '\0';
    if (request->failed)
        return engine_fail(link->problem, -ENOMEM, "out of memory");
    if (!engine_connection_is_usable(&link->connection)) {
        engine_connection_close(&link->connection);
        if (request->same_connection)
            return engine_fail(link->problem, -ECONNRESET, "%s has closed the connection",
                               link->connection.peer);
    }
    int r = call_once(link, request, deadline_ns, ret);
    if (r < 0)
        engine_connection_close(&link->connection);
    if (r == -EAGAIN && link->moved.number != 0 && !request->same_connection) {
        r = call_once(link, request, deadline_ns, ret);
        if (r < 0)
            engine_connection_close(&link->connection);
    }
    if (r == 0)
        link->problem[0] = '\0';
    else if (link->address.host_count > 0)
        link->host = (link->host + 1) % link->address.host_count;
    return r;
}

void engine_replies_free(redisReply **replies, size_t count)
{
    for (size_t i = 0; replies && i < count; i++)
        freeReplyObject(replies[i]);
    free(replies);
}

uint64_t engine_link_connections(const struct engine_link *link)
{
    return link->connections;
}

void engine_link_reset(struct engine_link *link)
{
    engine_connection_close(&link->connection);
}

const char *engine_link_problem(const struct engine_link *link)
{
    return link->problem;
}

const char *engine_link_peer(const struct engine_link *link)
{
    return link->connection.peer;
}
