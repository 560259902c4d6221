/* beacon.c - report visitors of pages without scripts: a request for a picture is a heartbeat. */
#include <stdio.h>
#include <sys/random.h>

#include "touch.h"

#define COOKIE     "presence_visitor"
#define COOKIE_AGE "31536000" /* a year, in seconds */
#define UUID_SIZE  37

/* The smallest transparent picture. */
static const unsigned char picture[] = {
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xff, 0xff, 0xff, 0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2c,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02, 0x01, 0x44, 0x00, 0x3b,
};

/* Make a random UUID (RFC 9562, version 4). False if there is no randomness. */
static bool make_uuid(char ret[UUID_SIZE])
{
    uint8_t bytes[16];
    size_t length = 0;

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return false;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        length += (size_t)snprintf(ret + length, UUID_SIZE - length, "%s%02x", hyphen ? "-" : "",
                                   bytes[i]);
    }
    return true;
}

/* Set a visitor cookie. A browser that keeps it is counted from its next picture on; one that keeps
 * none is never counted, since each of its requests would be a new visitor. */
static void set_cookie(const struct client *client, struct MHD_Response *response)
{
    char uuid[UUID_SIZE], cookie[160];

    if (!make_uuid(uuid))
        return;
    snprintf(cookie, sizeof(cookie), COOKIE "=%s; Max-Age=" COOKIE_AGE "; HttpOnly; SameSite=%s",
             uuid, client->is_secure ? "None; Secure" : "Lax");
    MHD_add_response_header(response, "Set-Cookie", cookie);
}

enum MHD_Result beacon_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct client client;
    struct heartbeat_fields fields = heartbeat_query_fields(request);
    struct heartbeat heartbeat;
    struct problem problem;
    char cookie[PLACE_ID_MAX + 2]; /* a byte more than an id: a longer one is refused, not cut */

    /* Any page can show a picture: one of another site could invent visitors. */
    if (!heartbeat_names_visitor(fields.visitor) ||
        !request_is_from_site(web, request, fields.site))
        fields.visitor =
            http_request_cookie(request, COOKIE, cookie, sizeof(cookie)) ? cookie : NULL;
    bool known = heartbeat_names_visitor(fields.visitor);
    if (!known)
        fields.visitor = "unknown"; /* so that other problems are still reported */
    if (!request_admit(web, request, &client, &problem) ||
        !heartbeat_parse(web, request, &fields, &heartbeat, &problem))
        return respond_problem(web, request, &problem);
    if (known)
        touch_send(web, &heartbeat, &client);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof(picture), (void *)(uintptr_t)picture, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "image/gif");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
    if (!known)
        set_cookie(&client, response);
    return respond(web, request, MHD_HTTP_OK, response);
}
