/* fuzz_jwt.c - tokens. An input is a byte and a token, or the byte, a token's header, a line feed
 * and its claims, which are signed here with a key that the server has or has not.
 *
 * A judge written from request.h says which tokens allow the place. Tokens may be refused that it
 * would let pass, as libjwt has rules of its own; none with the plainest header. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <jansson.h>
#include <math.h>
#include <time.h>

#include "request.h"
#include "request_fake.h"

#define NOW    1767225600
#define LEEWAY 30
#define SITE   "example.com"
#define ROOM   "/a"
#define KEY    "0123456789abcdef0123456789abcdef"
#define OTHER  "fedcba9876543210fedcba9876543210"
#define PLAIN  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

enum mode {
    MODE_TOKEN, /* the input is the token */
    MODE_SIGNED,
    MODE_FORGED, /* signed with another key */
    MODE_PLAIN,  /* the input is the claims */
    MODES,
};

time_t __wrap_time(time_t *ret);

time_t __wrap_time(time_t *ret)
{
    if (ret)
        *ret = NOW;
    return NOW;
}

/* Append bytes as base64url without padding. */
static void append(char **text, const void *bytes, size_t size)
{
    gnutls_datum_t base64;
    char *longer;

    fuzz_check(gnutls_base64_encode2(&(gnutls_datum_t){(void *)(uintptr_t)bytes, (unsigned)size},
                                     &base64) == 0);
    for (unsigned i = 0; i < base64.size; i++) {
        unsigned char *byte = &base64.data[i];
        *byte = *byte == '+' ? '-' : *byte == '/' ? '_' : *byte;
    }
    while (base64.size && base64.data[base64.size - 1] == '=')
        base64.size--;
    fuzz_check(asprintf(&longer, "%s%s%.*s", *text ? *text : "", *text ? "." : "", (int)base64.size,
                        (char *)base64.data) >= 0);
    gnutls_free(base64.data);
    free(*text);
    *text = longer;
}

static char *sign(const char *header, const char *claims, const char *key)
{
    unsigned char digest[32];
    char *token = NULL;

    append(&token, header, strlen(header));
    append(&token, claims, strlen(claims));
    fuzz_check(
        gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, strlen(key), token, strlen(token), digest) == 0);
    append(&token, digest, sizeof(digest));
    return token;
}

/* True if a claim is absent, or a time that has come. */
static bool has_come(const json_t *claims, const char *name)
{
    const json_t *claim = json_object_get(claims, name);

    return !claim || (json_is_number(claim) && json_number_value(claim) < NOW + LEEWAY + 1);
}

static bool judge_place(const json_t *claims)
{
    const char *site = json_string_value(json_object_get(claims, "site"));
    const json_t *room = json_object_get(claims, "room");
    const char *name = json_string_value(room);

    /* A room is kept without repeated and trailing slashes. */
    if (room && (!name || strspn(name, "/") == 0 || name[strspn(name, "/")] != 'a' ||
                 name[strspn(name, "/") + 1 + strspn(name + strspn(name, "/") + 1, "/")]))
        return false;
    return site && strcasecmp(site, SITE) == 0;
}

/* True if the token's parts allow the place. */
static bool judge_token(const char *header_text, const char *claims_text)
{
    json_t *header = json_loads(header_text, 0, NULL), *claims = json_loads(claims_text, 0, NULL);
    const char *algorithm = json_string_value(json_object_get(header, "alg"));
    const json_t *expires = json_object_get(claims, "exp");
    const json_t *subject = json_object_get(claims, "sub");
    bool allowed = json_is_object(header) && json_is_object(claims) && algorithm &&
                   strcasecmp(algorithm, "HS256") == 0 && !json_object_get(header, "crit") &&
                   json_is_number(expires) && json_number_value(expires) + LEEWAY > NOW &&
                   has_come(claims, "nbf") && has_come(claims, "iat") && judge_place(claims) &&
                   (!subject || json_is_string(subject) || json_is_integer(subject));

    json_decref(header);
    json_decref(claims);
    return allowed;
}

static bool use_token(const char *token, char subject[PLACE_ID_MAX + 1])
{
    static struct web web;
    static char key[] = KEY;
    const struct place place = {.site = SITE, .room = ROOM};
    const struct token_use use = {.place = &place, .ret_subject = subject};
    struct problem problem = {0};
    int64_t expires;

    web.jwt_keys = (struct secrets){.items = {key}, .count = 1};
    request_fake_clear();
    bool allowed = request_may_use(&web, request_fake(), token, &use, &expires, &problem);
    fuzz_check(allowed || problem.status == 401 || problem.status == 403);
    fuzz_check(!allowed || expires > NOW - LEEWAY);
    if (*token) { /* the same in a header */
        char *header;
        fuzz_check(asprintf(&header, "Bearer %s", token) >= 0);
        request_fake_add(MHD_HEADER_KIND, "Authorization", header);
        bool again = request_may_use(&web, request_fake(), NULL, &use, &expires, &problem);
        fuzz_check(again == allowed || token[0] == ' ');
        free(header);
        request_fake_clear();
    }
    return allowed;
}

static void check_parts(enum mode mode, const char *header, const char *claims)
{
    char subject[PLACE_ID_MAX + 1];
    char *token = sign(header, claims, mode == MODE_FORGED ? OTHER : KEY);
    bool allowed = use_token(token, subject), judged = judge_token(header, claims);

    free(token);
    if (allowed && (mode == MODE_FORGED || !judged))
        fuzz_fail("a token is accepted: %s %s", header, claims);
    if (!allowed && judged && mode == MODE_PLAIN)
        fuzz_fail("a token is refused: %s", claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    char subject[PLACE_ID_MAX + 1];
    enum mode mode = fuzz_number(&input, 1) % MODES;
    char *header = mode == MODE_TOKEN   ? NULL
                   : mode == MODE_PLAIN ? strdup(PLAIN)
                                        : fuzz_text(fuzz_piece(&input, '\n'));
    char *rest = fuzz_text(input);

    if (header)
        check_parts(mode, header, rest);
    else
        use_token(rest, subject);
    free(header);
    free(rest);
    return 0;
}
