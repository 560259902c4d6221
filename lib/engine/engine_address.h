/* engine_address.h - parse where Redis or Valkey is. Any thread. */
#ifndef PRESENCE_ENGINE_ADDRESS_H
#define PRESENCE_ENGINE_ADDRESS_H

#include <sys/un.h>

#include "common/address.h"

#define ENGINE_HOSTS_MAX   16
#define ENGINE_MASTER_SIZE 128

enum engine_kind {
    ENGINE_HOSTS = 1, /* servers, or nodes of a cluster */
    ENGINE_SOCKET,    /* a unix socket */
    ENGINE_SENTINELS,
};

struct engine_address {
    enum engine_kind kind;
    struct address hosts[ENGINE_HOSTS_MAX]; /* of HOSTS and SENTINELS */
    unsigned host_count;
    char master[ENGINE_MASTER_SIZE];                        /* of SENTINELS */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of SOCKET */
};

#define ENGINE_URL_PROBLEM_SIZE 192

/* Parse a URL as ENGINE_URL_DETAILS describes it. On failure `ret_problem` says what is wrong and
 * what to do, never what the URL is: it may hold a password. Errors: -EINVAL. */
int engine_address_parse(const char *url, struct engine_address *ret,
                         char ret_problem[ENGINE_URL_PROBLEM_SIZE]);

#endif
