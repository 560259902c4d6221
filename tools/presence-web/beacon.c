#include "beacon.h"

#include <stdio.h>
#include <sys/random.h>

#include "intake.h"

#define COOKIE     "presence_visitor"
#define COOKIE_AGE "31536000" /* a year, in seconds */
#define UUID_SIZE  37

/* The smallest transparent picture. */
static const unsigned char picture[] = {
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00,
    0x00, 0x00, 0xff, 0xff, 0xff, 0x21, 0xf9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2c,
    0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x01, 0x00, 0x00, 0x02, 0x01, 0x44, 0x00, 0x3b,
};

/* A random UUID (RFC 9562, version 4). False: there is no randomness. */
static bool make_uuid(char ret[UUID_SIZE])
{
    uint8_t bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return false;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bool hyphen = i == 4 || i == 6 || i == 8 || i == 10;
        ret += sprintf(ret, "%s%02x", hyphen ? "-" : "", bytes[i]);
    }
    return true;
}

/* A browser that keeps it is counted from its next picture on. One that keeps none never is: each
 * of its requests would be somebody new. */
static void give_cookie(const struct http_request *request, const struct client *client,
                        struct MHD_Response *response)
{
    char uuid[UUID_SIZE], cookie[160];

    if (!make_uuid(uuid))
        return;
    snprintf(cookie, sizeof(cookie), COOKIE "=%s; Max-Age=" COOKIE_AGE "; HttpOnly; SameSite=%s",
             uuid, client_is_secure(request, client) ? "None; Secure" : "Lax");
    MHD_add_response_header(response, "Set-Cookie", cookie);
}

enum MHD_Result beacon_handle(void *context, struct http_request *request)
{
    struct web *web = context;
    struct client client = client_of(web, request);
    struct heartbeat_fields fields = heartbeat_fields_of_query(request);
    struct heartbeat heartbeat;
    struct problem problem;

    if (!fields.visitor || !*fields.visitor)
        fields.visitor = MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, COOKIE);
    bool known = fields.visitor && *fields.visitor;
    if (!known)
        fields.visitor = "unknown"; /* whatever else is wrong is to be said */
    if (!intake_admit(web, &client, &problem) ||
        !intake_read(web, request, &fields, &heartbeat, &problem))
        return reply_problem(web, request, &problem);
    if (known)
        intake_forward(web, request, &client, &heartbeat);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        sizeof(picture), (void *)(uintptr_t)picture, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "image/gif");
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "cross-origin");
    if (!known)
        give_cookie(request, &client, response);
    return reply(web, request, MHD_HTTP_OK, response);
}
