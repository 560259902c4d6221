#include "files.h"

#include <stdlib.h>
#include <string.h>

#include "http_reply.h"
#include "reply.h"

#define BADGE "/badge.js" /* which pages of other sites load */

#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "     \
    "form-action 'none'; frame-ancestors 'self'"

static const struct file *find_file(const char *path)
{
    for (size_t i = 0; i < files_count; i++) {
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    }
    return NULL;
}

/* Does an Accept-Encoding allow gzip? Its weights are only looked at for a refusal. */
static bool accepts_gzip(const char *header)
{
    const char *coding = header ? strcasestr(header, "gzip") : NULL;

    if (!coding)
        return false;
    const char *weight = coding + strlen("gzip") + strspn(coding + strlen("gzip"), " \t");
    if (*weight != ';')
        return true;
    weight += 1 + strspn(weight + 1, " \t");
    return strncasecmp(weight, "q=", 2) != 0 || strtod(weight + 2, NULL) > 0;
}

static bool is_fresh(const char *header, const struct file *file)
{
    return header && (strstr(header, file->tag) || strstr(header, file->packed_tag) ||
                      strcmp(header, "*") == 0);
}

enum MHD_Result files_handle(void *context, struct http_request *request)
{
    const struct web *web = context;
    const struct file *file = find_file(request->path);
    bool packed = accepts_gzip(http_request_header(request, "Accept-Encoding"));
    bool fresh = file && is_fresh(http_request_header(request, "If-None-Match"), file);

    if (!file)
        return MHD_NO;
    const unsigned char *content = packed ? file->packed : file->content;
    size_t length = packed ? file->packed_length : file->length;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        fresh ? 0 : length, (void *)(uintptr_t)content, MHD_RESPMEM_PERSISTENT);
    if (!response)
        return MHD_NO;
    bool badge = strcmp(file->path, BADGE) == 0;
    MHD_add_response_header(response, "Content-Type", file->type);
    MHD_add_response_header(response, "ETag", packed ? file->packed_tag : file->tag);
    MHD_add_response_header(response, "Vary", "Accept-Encoding");
    MHD_add_response_header(response, "Cache-Control", badge ? "public, max-age=300" : "no-cache");
    if (packed && !fresh)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy",
                            badge ? "cross-origin" : "same-origin");
    unsigned status = fresh ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
    return badge ? reply(web, request, status, response) : http_reply(request, status, response);
}
