#include "reload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "receive/listener.h"

int reload_key(const char *path, bool is_other, struct key *ret)
{
    char problem[KEY_FILE_PROBLEM_SIZE];

    *ret = (struct key){0};
    if (!path)
        return 0;
    int r = key_file_load_first(path, ret, problem);
    if (r < 0)
        log_error("--key-file %s%s", problem,
                  r == -EACCES && is_other
                      ? "; a running relay reads only the directory of the file that it was "
                        "started with: restart presence-relay for another"
                      : "");
    return r;
}

/* ---- what may change ---------------------------------------------------------------------- */

static bool is_same_listen(const struct endpoints_settings *a, const struct endpoints_settings *b)
{
    if (a->listen_count != b->listen_count)
        return false;
    for (unsigned i = 0; i < a->listen_count; i++) {
        if (!address_is_same(&a->listen[i].address, &b->listen[i].address))
            return false;
    }
    return true;
}

static bool is_same_list(const struct option_list *a, const struct option_list *b)
{
    if (a->count != b->count)
        return false;
    for (unsigned i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

static void log_restart(const char *option)
{
    log_line("--%s has changed: restart presence-relay for that", option);
}

/* Log which options have changed that a running relay can't change. */
static void log_restarts(const struct options *now, const struct options *wanted)
{
    if (!is_same_listen(&now->endpoints, &wanted->endpoints))
        log_restart("listen");
    if (now->engine != wanted->engine)
        log_restart("receive");
    if (!is_same_list(&now->listen_addresses, &wanted->listen_addresses))
        log_restart("web.listen-address");
}

bool reload_check_loops(const struct options *options, const struct endpoints *endpoints)
{
    for (unsigned i = 0; i < endpoints->count; i++) {
        if (groups_check_loop(options->groups, options->group_count, &endpoints->all[i].address,
                              endpoints->local_addresses) != OPTION_RUN)
            return false;
    }
    return true;
}

/* Check that the relay may go on with these groups. False: one line says why not. */
static bool check_groups(const struct reload *running, const struct options *wanted)
{
    const struct options *now = running->options;

    return groups_check_change(now->groups, now->group_count, wanted->groups,
                               wanted->group_count) &&
           reload_check_loops(wanted, running->endpoints);
}

/* ---- changing it -------------------------------------------------------------------------- */

/* Take over the options that a running relay can change; `wanted` gets the others of `now`. */
static void swap_options(struct options *now, struct options *wanted)
{
    struct options changed = *wanted;

    changed.endpoints = now->endpoints;
    changed.engine = now->engine;
    changed.listen_addresses = now->listen_addresses;
    now->listen_addresses = wanted->listen_addresses;
    *wanted = *now;
    *now = changed;
}

void reload_log(const char *opening, const struct options *options, const struct key *key)
{
    unsigned collectors = 0;
    char signs[32] = "not signed";

    for (unsigned i = 0; i < options->group_count; i++)
        collectors += options->groups[i].shards;
    if (key->id)
        snprintf(signs, sizeof(signs), "signed with key %u", key->id);
    log_error("%ssending to %u collector%s in %u group%s, %s", opening, collectors,
              collectors == 1 ? "" : "s", options->group_count,
              options->group_count == 1 ? "" : "s", signs);
}

/* Go on with `wanted`, whose groups may be in force. */
static enum reload_verdict apply(const struct reload *running, struct options *wanted,
                                 const struct key *key)
{
    struct options *now = running->options;
    struct relay_setup *setup;
    bool are_new =
        memcmp(running->key, key, sizeof(*key)) != 0 ||
        !groups_are_same(now->groups, now->group_count, wanted->groups, wanted->group_count);

    if (!are_new && now->hold_ms == wanted->hold_ms &&
        network_list_is_same(&now->allow, &wanted->allow)) {
        log_error("reloaded: nothing has changed");
        return RELOAD_SAME;
    }
    if (relay_setup_open(wanted, key, running->accounts, are_new, &setup) < 0)
        return RELOAD_REFUSED;
    relay_replace(running->relay, setup);
    *running->key = *key;
    swap_options(now, wanted);
    reload_log("reloaded: ", now, key);
    reload_warn(now, running->endpoints);
    return RELOAD_CHANGED;
}

void reload_warn(const struct options *options, const struct endpoints *endpoints)
{
    for (unsigned i = 0; options->allow.count == 0 && i < endpoints->count; i++) {
        if (!listener_is_loopback(&endpoints->all[i].address))
            log_line("whoever reaches %s has heartbeats passed on%s: say with --allow who may send",
                     endpoints->all[i].name, options->key_file ? ", and signed" : "");
    }
}

/* True if the file of the key is another than the running relay's. */
static bool is_other_key_file(const struct options *now, const struct options *wanted)
{
    return wanted->key_file && (!now->key_file || strcmp(now->key_file, wanted->key_file) != 0);
}

/* Check that reading the file, if there is one, holds nobody up: to open a FIFO waits until
 * somebody writes to it. */
static bool check_config(const char *path)
{
    struct stat status;

    if (!path || stat(path, &status) < 0 || S_ISREG(status.st_mode) || S_ISDIR(status.st_mode))
        return true; /* options_read says what else is wrong */
    log_error("cannot read the configuration file %s: not a regular file", path);
    return false;
}

enum reload_verdict reload(const struct reload *running)
{
    struct options wanted;
    struct key key;
    enum reload_verdict verdict = RELOAD_REFUSED;

    if (!check_config(running->options->config) ||
        options_read(running->argc, running->argv, running->endpoints->local_addresses, &wanted) !=
            OPTION_RUN)
        return RELOAD_REFUSED;
    if (check_groups(running, &wanted) &&
        reload_key(wanted.key_file, is_other_key_file(running->options, &wanted), &key) == 0) {
        log_restarts(running->options, &wanted);
        verdict = apply(running, &wanted, &key);
        explicit_bzero(&key, sizeof(key));
    }
    options_release(&wanted);
    return verdict;
}
