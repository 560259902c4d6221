#include "engine_address.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PORT          6379
#define SENTINEL_PORT 26379

static int __attribute__((format(printf, 2, 3))) problem(char *ret, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(ret, ENGINE_URL_PROBLEM_SIZE, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* If `text` begins with `prefix`, return what follows, otherwise NULL. */
static const char *behind(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);

    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

static bool is_printable(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

/* Parse one of the hosts, and give it the default port if it has none. */
static int parse_host(const char *text, size_t length, unsigned port, struct address *ret)
{
    char host[ADDRESS_SIZE];
    bool bracketed = length > 0 && text[0] == '[';
    const char *from = bracketed ? memchr(text, ']', length) : text;
    bool has_port = from && memchr(from, ':', length - (size_t)(from - text));
    int written = has_port ? snprintf(host, sizeof(host), "%.*s", (int)length, text)
                           : snprintf(host, sizeof(host), "%.*s:%u", (int)length, text, port);

    if (length > ADDRESS_SIZE || written >= (int)sizeof(host))
        return -EINVAL;
    return address_split_peer(host, ret);
}

/* Parse hosts with commas between them, up to `end`. */
static int parse_hosts(const char *text, const char *end, unsigned port, struct engine_address *to,
                       char *ret_problem)
{
    for (;;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t length = (size_t)((comma ? comma : end) - text);

        if (to->host_count == ENGINE_HOSTS_MAX)
            return problem(ret_problem, "it has more than %u hosts", ENGINE_HOSTS_MAX);
        if (length == 0)
            return problem(ret_problem, "a host is missing; write redis://HOST or redis://HOST:%u",
                           PORT);
        if (parse_host(text, length, port, &to->hosts[to->host_count]) < 0)
            return problem(
                ret_problem,
                "host %u can't be understood; write HOST or HOST:%u, and an IPv6 address "
                "as [::1] or [::1]:%u",
                to->host_count + 1, port, port);
        to->host_count++;
        if (!comma)
            return 0;
        text = comma + 1;
    }
}

static int parse_servers(const char *text, struct engine_address *to, char *ret_problem)
{
    const char *slash = strchr(text, '/');

    /* A cluster has only the first database: so we use no other. */
    if (slash && slash[1] && strcmp(slash, "/0") != 0)
        return problem(ret_problem, "it names a database; only the first one is used: leave it "
                                    "out");
    to->kind = ENGINE_HOSTS;
    return parse_hosts(text, slash ? slash : text + strlen(text), PORT, to, ret_problem);
}

static int parse_sentinels(const char *text, struct engine_address *to, char *ret_problem)
{
    const char *slash = strchr(text, '/');

    if (!slash || !slash[1] || strchr(slash + 1, '/') || strlen(slash + 1) >= ENGINE_MASTER_SIZE)
        return problem(ret_problem, "the master's name is missing or wrong; write "
                                    "redis-sentinel://HOST/MASTER, as `sentinel monitor` names it");
    to->kind = ENGINE_SENTINELS;
    snprintf(to->master, sizeof(to->master), "%s", slash + 1);
    return parse_hosts(text, slash, SENTINEL_PORT, to, ret_problem);
}

static int parse_path(const char *path, struct engine_address *to, char *ret_problem)
{
    if (path[0] != '/')
        return problem(ret_problem, "the socket's path doesn't begin with /; write unix:/PATH");
    if (strlen(path) >= sizeof(to->path))
        return problem(ret_problem, "the socket's path has more than %zu bytes",
                       sizeof(to->path) - 1);
    to->kind = ENGINE_SOCKET;
    snprintf(to->path, sizeof(to->path), "%s", path);
    return 0;
}

int engine_address_parse(const char *url, struct engine_address *ret,
                         char ret_problem[ENGINE_URL_PROBLEM_SIZE])
{
    struct engine_address address = {0};
    const char *rest;
    int r;

    if ((rest = behind(url, "unix:")))
        r = parse_path(rest, &address, ret_problem);
    else if (!is_printable(url))
        r = problem(ret_problem, "it has spaces or other bytes that are not printable ASCII");
    else if (strchr(url, '@'))
        r = problem(ret_problem, "it holds a user or a password, which everybody on this machine "
                                 "could see; use --user and --password-file");
    else if ((rest = behind(url, "redis://")))
        r = parse_servers(rest, &address, ret_problem);
    else if ((rest = behind(url, "redis-sentinel://")))
        r = parse_sentinels(rest, &address, ret_problem);
    else if (behind(url, "rediss://"))
        r = problem(ret_problem, "TLS is not built in; connect through stunnel or WireGuard");
    else
        r = problem(ret_problem, "it begins neither with redis://, nor with unix: or "
                                 "redis-sentinel://");
    if (r == 0)
        *ret = address;
    return r;
}
