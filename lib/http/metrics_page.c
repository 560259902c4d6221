#include "metrics_page.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/text_stream.h"
#include "gzip.h"
#include "http_reply.h"
#include "negotiate.h"

#define HEADER_BYTES 4096 /* of Accept and Accept-Encoding */

static char *format_metrics(enum format format, metrics_writer *write, const void *context,
                            size_t *ret_length)
{
    struct text_stream stream;
    FILE *out = text_stream_open(&stream);

    if (!out)
        return NULL;
    struct exposition exposition = {.out = out, .format = format};
    write(&exposition, context);
    return text_stream_close(&stream, ret_length);
}

/* Answer with a text, compressed if the client accepts that, and free it. NULL: out of memory. */
static enum MHD_Result reply(struct http_request *request, enum format format, char *text,
                             size_t length)
{
    char codings[HEADER_BYTES];
    bool compress = text && negotiate_gzip(http_request_header_list(request, "Accept-Encoding",
                                                                    codings, sizeof(codings)));

    if (compress) {
        char *plain = text;
        text = gzip_compress(plain, length, &length);
        free(plain);
    }
    struct MHD_Response *response =
        text ? MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE) : NULL;
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", format_type(format));
    MHD_add_response_header(response, "Vary", "Accept, Accept-Encoding");
    if (compress)
        MHD_add_response_header(response, "Content-Encoding", "gzip");
    return http_reply(request, MHD_HTTP_OK, response);
}

enum MHD_Result metrics_page_reply(struct http_request *request, metrics_writer *write,
                                   const void *context)
{
    char types[HEADER_BYTES];
    size_t length = 0;
    enum format format =
        negotiate(http_request_header_list(request, "Accept", types, sizeof(types)));
    char *text = format_metrics(format, write, context, &length);

    return reply(request, format, text, length);
}

enum MHD_Result metrics_page_reply_landing(struct http_request *request, const char *program,
                                           const char *purpose, const char *path)
{
    char *page;
    int length = asprintf(&page,
                          "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                          "<meta name=\"viewport\" content=\"width=device-width\">\n"
                          "<meta name=\"color-scheme\" content=\"light dark\">\n"
                          "<title>%s</title>\n</head>\n<body>\n<h1>%s</h1>\n"
                          "<p>%s Version " PRESENCE_VERSION ".</p>\n"
                          "<ul>\n<li><a href=\"%s\">Metrics</a></li>\n"
                          "<li><a href=\"/-/healthy\">Health</a></li>\n</ul>\n</body>\n</html>\n",
                          program, program, purpose, path);

    return http_reply_owned(request, MHD_HTTP_OK, "text/html; charset=utf-8",
                            length < 0 ? NULL : page, length < 0 ? 0 : (size_t)length);
}
