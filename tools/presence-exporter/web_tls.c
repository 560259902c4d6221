#include "web_tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct web_tls {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    gnutls_certificate_request_t request; /* for the client's certificate */
};

/* Verify the client's certificate in the handshake: 0, or an error that ends it. */
static int verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT,
    };
    unsigned status = 0;

    if (!gnutls_certificate_get_peers(session, NULL))
        return 0; /* none was given; if `request` demands one, GnuTLS ends the handshake */
    int r = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    return r < 0 || status ? GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR : 0;
}

static bool set_priority(struct web_tls *tls, const struct web_config *config, char *problem)
{
    static const char *const versions[] = {
        [WEB_TLS10] = ":+VERS-TLS1.0",
        [WEB_TLS11] = ":+VERS-TLS1.1",
        [WEB_TLS12] = ":+VERS-TLS1.2",
        [WEB_TLS13] = ":+VERS-TLS1.3",
    };
    char text[128] = "NORMAL:-VERS-ALL";

    for (unsigned i = config->min_version; i <= config->max_version; i++)
        strcat(text, versions[i]);
    int r = gnutls_priority_init(&tls->priority, text, NULL);
    if (r < 0)
        snprintf(problem, WEB_CONFIG_PROBLEM_SIZE, "cannot prepare TLS: %s", gnutls_strerror(r));
    return r >= 0;
}

static bool load_certificate(struct web_tls *tls, const struct web_config *config, char *problem)
{
    size_t cert_length = 0, key_length = 0;
    char *cert = web_config_read_file(config->cert_file, &cert_length, problem);
    char *key = cert ? web_config_read_file(config->key_file, &key_length, problem) : NULL;
    int r = -1;

    if (key) {
        const gnutls_datum_t cert_pem = {(unsigned char *)cert, (unsigned)cert_length};
        const gnutls_datum_t key_pem = {(unsigned char *)key, (unsigned)key_length};
        r = gnutls_certificate_set_x509_key_mem2(tls->credentials, &cert_pem, &key_pem,
                                                 GNUTLS_X509_FMT_PEM, NULL, 0);
        explicit_bzero(key, key_length);
        if (r < 0)
            snprintf(problem, WEB_CONFIG_PROBLEM_SIZE, "%.200s, %.200s: %s", config->cert_file,
                     config->key_file, gnutls_strerror(r));
    }
    free(cert);
    free(key);
    return r >= 0;
}

static bool load_authorities(struct web_tls *tls, const struct web_config *config, char *problem)
{
    size_t length;

    if (!config->client_ca_file)
        return true;
    char *text = web_config_read_file(config->client_ca_file, &length, problem);
    if (!text)
        return false;
    const gnutls_datum_t pem = {(unsigned char *)text, (unsigned)length};
    int r = gnutls_certificate_set_x509_trust_mem(tls->credentials, &pem, GNUTLS_X509_FMT_PEM);
    free(text);
    if (r <= 0)
        snprintf(problem, WEB_CONFIG_PROBLEM_SIZE, "%.300s: %s", config->client_ca_file,
                 r == 0 ? "no certificate in it" : gnutls_strerror(r));
    return r > 0;
}

struct web_tls *web_tls_new(const struct web_config *config, char problem[WEB_CONFIG_PROBLEM_SIZE])
{
    static const gnutls_certificate_request_t requests[] = {
        [WEB_CLIENT_NONE] = GNUTLS_CERT_IGNORE,    [WEB_CLIENT_REQUEST] = GNUTLS_CERT_REQUEST,
        [WEB_CLIENT_ANY] = GNUTLS_CERT_REQUIRE,    [WEB_CLIENT_IF_GIVEN] = GNUTLS_CERT_REQUEST,
        [WEB_CLIENT_VERIFY] = GNUTLS_CERT_REQUIRE,
    };
    struct web_tls *tls = calloc(1, sizeof(*tls));

    if (!tls || gnutls_certificate_allocate_credentials(&tls->credentials) < 0) {
        snprintf(problem, WEB_CONFIG_PROBLEM_SIZE, "out of memory");
        free(tls);
        return NULL;
    }
    tls->request = requests[config->client_auth];
    if (config->client_auth >= WEB_CLIENT_IF_GIVEN)
        gnutls_certificate_set_verify_function(tls->credentials, verify_client);
    if (load_certificate(tls, config, problem) && load_authorities(tls, config, problem) &&
        set_priority(tls, config, problem))
        return tls;
    web_tls_free(tls);
    return NULL;
}

void web_tls_free(struct web_tls *tls)
{
    if (!tls)
        return;
    gnutls_certificate_free_credentials(tls->credentials);
    if (tls->priority)
        gnutls_priority_deinit(tls->priority);
    free(tls);
}

bool web_tls_secure(const struct web_tls *tls, void *session)
{
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, tls->credentials) < 0 ||
        gnutls_priority_set(session, tls->priority) < 0)
        return false;
    gnutls_certificate_server_set_request(session, tls->request);
    return true;
}
