#include "web_users.h"

#include <crypt.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/networks.h"

#define SCHEME           "Basic "
#define DIGEST_SIZE      32
#define WRONG_REMEMBERED 256
#define CLIENTS          64 /* that have failed lately */
/* Checks that wait: they hold connections, which others need. */
#define WAITING_MAX           192
#define WAITING_OF_CLIENT_MAX 96
/* A hash of nobody's password, behind "$2b$" and the cost. */
#define NOBODY_REST "$abcdefghijklmnopqrstuuDcTnFxNMO6BVyOGHvkJ8kQ0bkMkAjFe"

struct digest {
    unsigned char bytes[DIGEST_SIZE];
};

struct user {
    char *name, *hash;
    bool is_known;       /* `right` is set */
    struct digest right; /* of this name and its password */
};

/* A name and a password that wait for the thread, or have its answer. */
struct check {
    struct check *next;
    struct http_request *request;
    struct host client;
    struct digest digest;
    unsigned generation; /* of the users when it began */
    char hash[WEB_CONFIG_HASH_LENGTH + 1];
    char *password;
    int user;               /* index; -1: there is no such user */
    bool is_right, is_busy; /* the answer; is_busy: it gave way to another, and has none */
};

struct web_users {
    /* Guards `first`, `ending`, the failed clients and what the thread sets in a check. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool ending;
    struct check *first; /* of those that wait; the oldest */

    /* For the server's thread alone. */
    unsigned generation; /* raised when the users change */
    struct user all[WEB_CONFIG_USERS_MAX];
    unsigned count;
    char nobody[WEB_CONFIG_HASH_LENGTH + 1];
    unsigned char key[DIGEST_SIZE]; /* that digests are made with */
    struct digest wrong[WRONG_REMEMBERED];
    unsigned wrong_next, wrong_count;

    /* Clients whose last password was wrong. */
    struct host failed[CLIENTS];
    unsigned failed_next, failed_count;
};

/* ---- the thread -------------------------------------------------------------------------- */

/* Return the client's index among those that have failed; -1: it has not. */
static int find_failed(const struct web_users *users, const struct host *client)
{
    for (unsigned i = 0; i < users->failed_count; i++) {
        if (memcmp(&users->failed[i], client, sizeof(*client)) == 0)
            return (int)i;
    }
    return -1;
}

/* Record whether a client's last answer was right. */
static void record(struct web_users *users, const struct host *client, bool is_right)
{
    int index = find_failed(users, client);

    if (is_right && index >= 0)
        users->failed[index] = users->failed[--users->failed_count];
    if (is_right || index >= 0)
        return;
    if (users->failed_count < CLIENTS)
        index = (int)users->failed_count++;
    else
        index = (int)(users->failed_next++ % CLIENTS);
    users->failed[index] = *client;
}

/* Unlink the oldest check of a client that has not failed, or if there is none, the oldest: those
 * who guess wait behind the others. */
static struct check *next_check(struct web_users *users)
{
    struct check **place = &users->first;

    while (*place && find_failed(users, &(*place)->client) >= 0)
        place = &(*place)->next;
    if (!*place)
        place = &users->first;
    struct check *check = *place;
    *place = check->next;
    return check;
}

/* True if this is the hash of the password. Takes as long whichever byte differs. */
static bool is_password(const char *password, const char *hash, struct crypt_data *data)
{
    /* Not libcrypt's usual function: the address sanitizer replaces it, and fails if libcrypt is
     * not loaded. */
    const char *made = crypt_rn(password, hash, data, (int)sizeof(*data));

    return made && strlen(made) == WEB_CONFIG_HASH_LENGTH &&
           gnutls_memcmp(made, hash, WEB_CONFIG_HASH_LENGTH) == 0;
}

static void *run(void *context)
{
    struct web_users *users = context;
    struct crypt_data *data = calloc(1, sizeof(*data));

    pthread_mutex_lock(&users->mutex);
    for (;;) {
        while (!users->first && !users->ending)
            pthread_cond_wait(&users->changed, &users->mutex);
        if (!users->first)
            break;
        struct check *check = next_check(users);
        bool is_right = false;
        if (!users->ending && data) {
            pthread_mutex_unlock(&users->mutex);
            is_right = is_password(check->password, check->hash, data) && check->user >= 0;
            pthread_mutex_lock(&users->mutex);
        }
        check->is_right = is_right;
        if (!users->ending)
            record(users, &check->client, is_right);
        /* Once it is resumed, the check may be freed. */
        http_server_resume(check->request->server, check->request->connection);
    }
    pthread_mutex_unlock(&users->mutex);
    if (data)
        explicit_bzero(data, sizeof(*data));
    free(data);
    return NULL;
}

/* ---- what is remembered ------------------------------------------------------------------ */

static bool is_same(const struct digest *a, const struct digest *b)
{
    return gnutls_memcmp(a->bytes, b->bytes, DIGEST_SIZE) == 0;
}

static bool is_known_wrong(const struct web_users *users, const struct digest *digest)
{
    for (unsigned i = 0; i < users->wrong_count; i++) {
        if (is_same(&users->wrong[i], digest))
            return true;
    }
    return false;
}

static void remember(struct web_users *users, const struct check *check)
{
    if (check->is_right) {
        users->all[check->user].right = check->digest;
        users->all[check->user].is_known = true;
        return;
    }
    users->wrong[users->wrong_next] = check->digest;
    users->wrong_next = (users->wrong_next + 1) % WRONG_REMEMBERED;
    if (users->wrong_count < WRONG_REMEMBERED)
        users->wrong_count++;
}

static void free_users(struct user *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(all[i].name);
        free(all[i].hash);
    }
}

/* Forget the users and all answers. */
static void forget(struct web_users *users)
{
    free_users(users->all, users->count);
    memset(users->all, 0, sizeof(users->all));
    users->count = users->wrong_count = users->wrong_next = 0;
    users->generation++;
}

/* ---- judging ----------------------------------------------------------------------------- */

/* Decode "Basic BASE64" into "NAME:PASSWORD", which the caller frees. NULL: it is malformed. */
static char *decode(const char *header)
{
    gnutls_datum_t text;

    if (!header || strncasecmp(header, SCHEME, strlen(SCHEME)) != 0)
        return NULL;
    header += strlen(SCHEME);
    header += strspn(header, " ");
    const gnutls_datum_t base64 = {(unsigned char *)(uintptr_t)header, (unsigned)strlen(header)};
    if (!base64.size || gnutls_base64_decode2(&base64, &text) < 0)
        return NULL;
    /* A zero byte would end the password here: another one could begin in the same way. */
    char *copy = memchr(text.data, '\0', text.size) ? NULL : malloc(text.size + 1);
    if (copy) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
    }
    explicit_bzero(text.data, text.size);
    gnutls_free(text.data);
    if (copy && !strchr(copy, ':')) {
        free(copy);
        copy = NULL;
    }
    return copy;
}

static void free_check(void *data)
{
    struct check *check = data;

    explicit_bzero(check->password, strlen(check->password));
    free(check->password);
    free(check);
}

static int find_user(const struct web_users *users, const char *name)
{
    for (unsigned i = 0; i < users->count; i++) {
        if (strcmp(users->all[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* Unlink and return a check of a client that has failed, to make room for one that has not. NULL:
 * there is none. */
static struct check *yield_check(struct web_users *users)
{
    struct check **place = &users->first;

    while (*place && find_failed(users, &(*place)->client) < 0)
        place = &(*place)->next;
    struct check *check = *place;
    if (check)
        *place = check->next;
    return check;
}

/* Add a check to those that wait, perhaps in place of another, which is returned. False: there is
 * no room. */
static bool queue_check(struct web_users *users, struct check *check, struct check **ret_yielded)
{
    struct check **last = &users->first;
    unsigned total = 0, of_client = 0;

    for (; *last; last = &(*last)->next) {
        total++;
        of_client += memcmp(&(*last)->client, &check->client, sizeof(check->client)) == 0;
    }
    if (of_client >= WAITING_OF_CLIENT_MAX)
        return false;
    if (total >= WAITING_MAX) {
        if (find_failed(users, &check->client) >= 0 || !(*ret_yielded = yield_check(users)))
            return false;
        for (last = &users->first; *last; last = &(*last)->next)
            ;
    }
    *last = check;
    return true;
}

/* Give a check to the thread, and suspend its request. */
static enum web_verdict enqueue(struct web_users *users, struct http_request *request,
                                struct check *check)
{
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct check *yielded = NULL;

    check->request = request;
    if (address && host_of(address->client_addr, &check->client))
        check->client = host_client(&check->client);
    pthread_mutex_lock(&users->mutex);
    bool queued = queue_check(users, check, &yielded);
    if (queued) {
        request->data = check;
        request->release = free_check;
        MHD_suspend_connection(request->connection);
        pthread_cond_signal(&users->changed);
    }
    if (yielded) {
        yielded->is_busy = true;
        http_server_resume(yielded->request->server, yielded->request->connection);
    }
    pthread_mutex_unlock(&users->mutex);
    if (queued)
        return WEB_LATER;
    free_check(check);
    return WEB_BUSY;
}

/* Judge "NAME:PASSWORD", which is split. */
static enum web_verdict judge_text(struct web_users *users, struct http_request *request,
                                   char *text)
{
    struct digest digest;

    if (gnutls_hmac_fast(GNUTLS_MAC_SHA256, users->key, sizeof(users->key), text, strlen(text),
                         digest.bytes) < 0)
        return WEB_REFUSED;
    char *password = strchr(text, ':');
    *password++ = '\0';
    int user = find_user(users, text);
    if (user >= 0 && users->all[user].is_known && is_same(&users->all[user].right, &digest))
        return WEB_WELCOME;
    if (is_known_wrong(users, &digest) || users->ending)
        return WEB_REFUSED;
    struct check *check = calloc(1, sizeof(*check));
    if (!check || !(check->password = strdup(password))) {
        free(check);
        return WEB_REFUSED;
    }
    check->digest = digest;
    check->generation = users->generation;
    check->user = user;
    /* A name that nobody has takes as long as one that somebody has. */
    strcpy(check->hash, user >= 0 ? users->all[user].hash : users->nobody);
    return enqueue(users, request, check);
}

static enum web_verdict judge_check(struct web_users *users, struct http_request *request)
{
    struct check *check = request->data;
    bool is_right = check->is_right, is_busy = check->is_busy;
    bool is_current = check->generation == users->generation;

    if (is_current && !is_busy && !users->ending)
        remember(users, check);
    request->data = NULL;
    request->release = NULL;
    free_check(check);
    if (is_busy)
        return WEB_BUSY;
    if (!is_current) /* the users have changed meanwhile */
        return web_users_judge(users, request);
    return is_right ? WEB_WELCOME : WEB_REFUSED;
}

enum web_verdict web_users_judge(struct web_users *users, struct http_request *request)
{
    if (request->data)
        return judge_check(users, request);
    if (!users->count)
        return WEB_WELCOME;
    char *text = decode(http_request_header(request, "Authorization"));
    if (!text)
        return WEB_REFUSED;
    size_t length = strlen(text);
    enum web_verdict verdict = judge_text(users, request, text);
    explicit_bzero(text, length);
    free(text);
    return verdict;
}

/* ---- the whole --------------------------------------------------------------------------- */

struct web_users *web_users_new(void)
{
    struct web_users *users = calloc(1, sizeof(*users));

    if (!users)
        return NULL;
    pthread_mutex_init(&users->mutex, NULL);
    pthread_cond_init(&users->changed, NULL);
    if (gnutls_rnd(GNUTLS_RND_KEY, users->key, sizeof(users->key)) == 0 &&
        pthread_create(&users->thread, NULL, run, users) == 0)
        return users;
    pthread_cond_destroy(&users->changed);
    pthread_mutex_destroy(&users->mutex);
    free(users);
    return NULL;
}

/* Let new users keep the right passwords of former ones with their name and hash. Return how many
 * these are. */
static unsigned carry_over(const struct web_users *users, struct user *all, unsigned count)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        int former = find_user(users, all[i].name);
        if (former < 0 || strcmp(users->all[former].hash, all[i].hash) != 0)
            continue;
        all[i].right = users->all[former].right;
        all[i].is_known = users->all[former].is_known;
        kept++;
    }
    return kept;
}

bool web_users_set(struct web_users *users, const struct web_config *config)
{
    struct user all[WEB_CONFIG_USERS_MAX] = {0};
    const char *slowest = "10";
    bool ok = true;

    for (unsigned i = 0; i < config->user_count; i++) {
        const char *cost = config->users[i].hash + 4;
        all[i].name = strdup(config->users[i].name);
        all[i].hash = strdup(config->users[i].hash);
        ok = ok && all[i].name && all[i].hash;
        if (i == 0 || strncmp(cost, slowest, 2) > 0)
            slowest = cost;
    }
    unsigned kept = ok ? carry_over(users, all, config->user_count) : 0;
    if (!ok || (kept == users->count && kept == config->user_count)) {
        free_users(all, config->user_count);
        return ok; /* the users are the same: all answers hold */
    }
    forget(users);
    memcpy(users->all, all, sizeof(all));
    users->count = config->user_count;
    snprintf(users->nobody, sizeof(users->nobody), "$2b$%.2s" NOBODY_REST, slowest);
    return true;
}

void web_users_end(struct web_users *users)
{
    pthread_mutex_lock(&users->mutex);
    users->ending = true;
    pthread_cond_signal(&users->changed);
    pthread_mutex_unlock(&users->mutex);
    pthread_join(users->thread, NULL);
}

void web_users_free(struct web_users *users)
{
    if (!users)
        return;
    forget(users);
    explicit_bzero(users->key, sizeof(users->key));
    pthread_cond_destroy(&users->changed);
    pthread_mutex_destroy(&users->mutex);
    free(users);
}
