/* web_tls.h - certificates and rules for TLS, from a web_config. All functions: one thread. */
#ifndef PRESENCE_EXPORTER_WEB_TLS_H
#define PRESENCE_EXPORTER_WEB_TLS_H

#include "web_config.h"

struct web_tls;

/* Load certificate, key and CAs. Returns NULL, and one line in `problem`, if one is wrong. */
struct web_tls *web_tls_new(const struct web_config *config, char problem[WEB_CONFIG_PROBLEM_SIZE]);

/* Free it. No session may be in its handshake. NULL is ignored. */
void web_tls_free(struct web_tls *tls);

/* Give a gnutls_session_t certificate and rules, before its handshake. False: GnuTLS refuses. */
bool web_tls_secure(const struct web_tls *tls, void *session);

#endif
