#include "http_handshake.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#include "http_reply.h"
#include "http_upgrade.h"
#include "http_websocket.h"

#define VERSION       "13"
#define LIST_BYTES    256
#define KEY_LENGTH    24 /* 16 bytes in base64 */
#define KEY_DIGITS    22 /* of these, without the two `=` */
#define DIGEST_LENGTH 20 /* SHA-1 */
#define PROTOCOL_ID   "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* True if a list, separated by commas, holds a word, in any case. */
static bool has_word(const char *list, const char *word)
{
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t"), blanks = strspn(list + length, " \t");
        const char *after = list + length + blanks;
        if (length == strlen(word) && strncasecmp(list, word, length) == 0 &&
            (*after == ',' || *after == '\0'))
            return true;
        list = strchr(after, ',');
    }
    return false;
}

static bool header_has_word(const struct http_request *request, const char *name, const char *word)
{
    char list[LIST_BYTES];

    return has_word(http_request_header_list(request, name, list, sizeof(list)), word);
}

bool http_websocket_is_asked(const struct http_request *request)
{
    return header_has_word(request, "Upgrade", "websocket");
}

/* True if it may be the base64 of 16 bytes. */
static bool is_key(const char *key)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    return strlen(key) == KEY_LENGTH && strspn(key, digits) == KEY_DIGITS &&
           strcmp(key + KEY_DIGITS, "==") == 0;
}

static bool make_answer(const char *key, char ret[HTTP_HANDSHAKE_ANSWER_SIZE])
{
    char text[KEY_LENGTH + sizeof(PROTOCOL_ID)];
    unsigned char digest[DIGEST_LENGTH];
    gnutls_datum_t base64;

    memcpy(text, key, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, PROTOCOL_ID, sizeof(PROTOCOL_ID));
    if (gnutls_hash_fast(GNUTLS_DIG_SHA1, text, sizeof(text) - 1, digest) < 0 ||
        gnutls_base64_encode2(&(gnutls_datum_t){digest, sizeof(digest)}, &base64) < 0)
        return false;
    bool fits = base64.size < HTTP_HANDSHAKE_ANSWER_SIZE;
    if (fits) {
        memcpy(ret, base64.data, base64.size);
        ret[base64.size] = '\0';
    }
    gnutls_free(base64.data);
    return fits;
}

unsigned http_handshake_answer(const struct http_request *request,
                               char ret[HTTP_HANDSHAKE_ANSWER_SIZE], const char **ret_problem)
{
    char version[LIST_BYTES], key[LIST_BYTES];

    if (!http_server_can_upgrade(request->server)) {
        *ret_problem =
            "WebSockets need a proxy that does TLS: this server can't take them over its own";
        return MHD_HTTP_NOT_IMPLEMENTED;
    }
    if (!http_websocket_is_asked(request) || !header_has_word(request, "Connection", "Upgrade")) {
        *ret_problem = "this address is for WebSockets: connect with ws: or wss:";
        return MHD_HTTP_UPGRADE_REQUIRED;
    }
    if (!http_request_header_list(request, "Sec-WebSocket-Version", version, sizeof(version)) ||
        strcmp(version, VERSION) != 0) {
        *ret_problem = "only version " VERSION " of WebSockets (RFC 6455) is supported";
        return MHD_HTTP_UPGRADE_REQUIRED;
    }
    *ret_problem = "malformed WebSocket handshake";
    if (strcmp(request->method, "GET") != 0 || request->is_http_1_0 || request->closes ||
        request->body_length ||
        !http_request_header_list(request, "Sec-WebSocket-Key", key, sizeof(key)) || !is_key(key))
        return MHD_HTTP_BAD_REQUEST;
    return make_answer(key, ret) ? 0 : MHD_HTTP_BAD_REQUEST;
}

enum MHD_Result http_handshake_refuse(struct http_request *request, unsigned status,
                                      const char *problem)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(problem), (void *)(uintptr_t)problem, MHD_RESPMEM_PERSISTENT);

    if (response) {
        MHD_add_response_header(response, "Content-Type", "text/plain; charset=utf-8");
        MHD_add_response_header(response, "Sec-WebSocket-Version", VERSION);
    }
    if (response && status == MHD_HTTP_UPGRADE_REQUIRED)
        MHD_add_response_header(response, "Upgrade", "websocket");
    return http_reply(request, status, response);
}
