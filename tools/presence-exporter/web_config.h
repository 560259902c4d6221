/* web_config.h - parse the file of --web.config.file, which has the form that Prometheus' exporters
 * share: TLS, headers and passwords. All functions: one thread. */
#ifndef PRESENCE_EXPORTER_WEB_CONFIG_H
#define PRESENCE_EXPORTER_WEB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#define WEB_CONFIG_USERS_MAX    64
#define WEB_CONFIG_HEADERS_MAX  5
#define WEB_CONFIG_PROBLEM_SIZE 512

#define WEB_CONFIG_HASH_LENGTH  60 /* bytes of a bcrypt hash */
#define WEB_CONFIG_COST_MAX     14 /* of bcrypt: about a second */

enum web_client_auth {
    WEB_CLIENT_NONE,     /* a client's certificate is not asked for */
    WEB_CLIENT_REQUEST,  /* asked for, and not looked at */
    WEB_CLIENT_ANY,      /* there has to be one */
    WEB_CLIENT_IF_GIVEN, /* one that is given has to be from a CA of client_ca_file */
    WEB_CLIENT_VERIFY,   /* there has to be one, from such a CA */
};

enum web_version {
    WEB_TLS10,
    WEB_TLS11,
    WEB_TLS12,
    WEB_TLS13,
};

struct web_header {
    const char *name; /* a constant */
    char *value;
};

struct web_user {
    char *name;
    char *hash; /* bcrypt, WEB_CONFIG_HASH_LENGTH bytes */
};

struct web_config {
    char *cert_file, *key_file, *client_ca_file; /* paths, or NULL; without cert_file: no TLS */
    enum web_client_auth client_auth;
    enum web_version min_version, max_version;
    struct web_header headers[WEB_CONFIG_HEADERS_MAX];
    unsigned header_count;
    struct web_user users[WEB_CONFIG_USERS_MAX];
    unsigned user_count;
};

/* Read and parse a file; release `ret` with web_config_free. On failure `problem` is one line that
 * names the file. Errors: -EINVAL it can't be read, or is wrong. */
int web_config_read(const char *path, struct web_config *ret,
                    char problem[WEB_CONFIG_PROBLEM_SIZE]);

/* Free what web_config_read has allocated, and set all to zero. */
void web_config_free(struct web_config *config);

/* Read a whole file of at most 1 MiB, with a zero byte behind it. The caller frees it. NULL:
 * `problem` says why. */
char *web_config_read_file(const char *path, size_t *ret_length,
                           char problem[WEB_CONFIG_PROBLEM_SIZE]);

#endif
