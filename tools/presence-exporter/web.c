#include "web.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/monotonic.h"
#include "http/http_reply.h"
#include "web_config.h"
#include "web_tls.h"
#include "web_users.h"

#define RETIRED_MAX   64
#define RETIRED_FOR_S 60 /* a handshake that uses former certificates ends sooner */

/* Properties of a file, at least one of which differs after a change. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct retired {
    struct web_tls *tls;
    int64_t at_ns;
};

struct web {
    const char *path;
    struct web_config config;
    struct web_tls *tls; /* NULL: without */
    struct web_users *users;
    struct version versions[WEB_FILES_MAX]; /* of the files of web_files() when last read */
    struct retired retired[RETIRED_MAX];
    unsigned retired_count;
};

/* ---- files ------------------------------------------------------------------------------- */

unsigned web_files(const struct web *web, const char *ret[WEB_FILES_MAX])
{
    const char *const all[WEB_FILES_MAX] = {web->path, web->config.cert_file, web->config.key_file,
                                            web->config.client_ca_file};
    unsigned count = 0;

    for (unsigned i = 0; i < WEB_FILES_MAX; i++) {
        if (all[i])
            ret[count++] = all[i];
    }
    return count;
}

/* Get the versions of all files; that of a missing one is zero. */
static void load_versions(const struct web *web, struct version ret[WEB_FILES_MAX])
{
    const char *files[WEB_FILES_MAX];
    unsigned count = web_files(web, files);
    struct stat status;

    memset(ret, 0, WEB_FILES_MAX * sizeof(*ret));
    for (unsigned i = 0; i < count; i++) {
        if (stat(files[i], &status) < 0)
            continue;
        ret[i].device = status.st_dev;
        ret[i].inode = status.st_ino;
        ret[i].size = status.st_size;
        ret[i].modified = status.st_mtim;
        ret[i].changed = status.st_ctim;
    }
}

/* ---- loading ----------------------------------------------------------------------------- */

/* Read everything. False: `problem` says what is wrong, and nothing is left to free. */
static bool load(const char *path, struct web_config *ret_config, struct web_tls **ret_tls,
                 char problem[WEB_CONFIG_PROBLEM_SIZE])
{
    struct web_config config;
    struct web_tls *tls = NULL;

    if (web_config_read(path, &config, problem) < 0)
        return false;
    if (config.cert_file && !(tls = web_tls_new(&config, problem))) {
        web_config_free(&config);
        return false;
    }
    *ret_config = config;
    *ret_tls = tls;
    return true;
}

struct web *web_open(const char *path)
{
    char problem[WEB_CONFIG_PROBLEM_SIZE];
    struct web *web = calloc(1, sizeof(*web));

    if (!web) {
        log_line("out of memory");
        return NULL;
    }
    web->path = path;
    if (!load(path, &web->config, &web->tls, problem)) {
        log_line("--web.config.file: %s", problem);
        free(web);
        return NULL;
    }
    load_versions(web, web->versions);
    return web;
}

int web_start(struct web *web)
{
    web->users = web_users_new();
    return web->users && web_users_set(web->users, &web->config) ? 0 : -EAGAIN;
}

/* Free former certificates that no handshake uses any more. */
static void free_retired(struct web *web, bool all)
{
    int64_t until_ns = monotonic_ns() - RETIRED_FOR_S * NS_PER_S;
    unsigned kept = 0;

    for (unsigned i = 0; i < web->retired_count; i++) {
        if (all || web->retired[i].at_ns < until_ns)
            web_tls_free(web->retired[i].tls);
        else
            web->retired[kept++] = web->retired[i];
    }
    web->retired_count = kept;
}

/* True if clients need a certificate. */
static bool needs_certificate(const struct web_config *config)
{
    return config->client_auth == WEB_CLIENT_ANY || config->client_auth == WEB_CLIENT_VERIFY;
}

/* Say why new settings can't replace those that are in force; NULL: they can. A file that is being
 * written may lack its end for a moment: it must not let everybody in. */
static const char *find_obstacle(const struct web *web, const struct web_config *config)
{
    if (!config->cert_file != !web->config.cert_file)
        return "TLS is turned on and off by a restart only";
    if (!config->user_count && web->config.user_count)
        return "basic_auth_users has gone, and passwords are given up by a restart only";
    if (needs_certificate(&web->config) && !needs_certificate(config))
        return "clients needed a certificate, which is given up by a restart only";
    return web->retired_count == RETIRED_MAX ? "too many changes within a minute" : NULL;
}

static void replace(struct web *web, const struct web_config *config, struct web_tls *tls)
{
    if (web->tls)
        web->retired[web->retired_count++] = (struct retired){web->tls, monotonic_ns()};
    web->tls = tls;
    web_config_free(&web->config);
    web->config = *config;
    log_line("reloaded %s", web->path);
}

void web_refresh(struct web *web, bool always)
{
    struct version versions[WEB_FILES_MAX];
    char problem[WEB_CONFIG_PROBLEM_SIZE];
    struct web_config config;
    struct web_tls *tls;

    free_retired(web, false);
    load_versions(web, versions);
    if (!always && memcmp(versions, web->versions, sizeof(versions)) == 0)
        return;
    /* Keep the versions from before loading: what changes meanwhile is then noticed, and so is a
     * file that was not named before. */
    memcpy(web->versions, versions, sizeof(versions));
    if (!load(web->path, &config, &tls, problem)) {
        log_line("--web.config.file: %s; the former settings stay", problem);
        return;
    }
    const char *obstacle = find_obstacle(web, &config);
    if (!obstacle && !web_users_set(web->users, &config))
        obstacle = "out of memory";
    if (!obstacle) {
        replace(web, &config, tls);
        return;
    }
    log_line("--web.config.file: %s: %s; the former settings stay", web->path, obstacle);
    web_tls_free(tls);
    web_config_free(&config);
}

/* ---- serving ----------------------------------------------------------------------------- */

bool web_has_tls(const struct web *web)
{
    return web->tls;
}

bool web_secure(struct web *web, void *session)
{
    web_refresh(web, false);
    return web_tls_secure(web->tls, session);
}

static enum MHD_Result refuse_for_now(struct http_request *request)
{
    static const char text[] = "too many passwords wait to be checked\n";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof(text) - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (response) {
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
        MHD_add_response_header(response, "Retry-After", "1");
    }
    return http_reply(request, MHD_HTTP_TOO_MANY_REQUESTS, response);
}

static enum MHD_Result refuse(struct http_request *request)
{
    static const char text[] = "Unauthorized\n";
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof(text) - 1, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (response) {
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
        MHD_add_response_header(response, "WWW-Authenticate",
                                "Basic realm=\"presence-exporter\", charset=\"UTF-8\"");
    }
    return http_reply(request, MHD_HTTP_UNAUTHORIZED, response);
}

bool web_guard(struct web *web, struct http_request *request, enum MHD_Result *ret)
{
    web_refresh(web, false);
    enum web_verdict verdict = web_users_judge(web->users, request);
    if (verdict == WEB_WELCOME)
        return false;
    *ret = verdict == WEB_LATER  ? MHD_YES
           : verdict == WEB_BUSY ? refuse_for_now(request)
                                 : refuse(request);
    return true;
}

void web_add_headers(struct web *web, struct MHD_Response *response)
{
    for (unsigned i = 0; i < web->config.header_count; i++)
        MHD_add_response_header(response, web->config.headers[i].name,
                                web->config.headers[i].value);
}

void web_end(struct web *web)
{
    if (web)
        web_users_end(web->users);
}

void web_close(struct web *web)
{
    if (!web)
        return;
    free_retired(web, true);
    web_users_free(web->users);
    web_tls_free(web->tls);
    web_config_free(&web->config);
    free(web);
}
