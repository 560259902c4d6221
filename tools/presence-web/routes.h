/* routes.h - the handler of each request, and the files that are built into the program. */
#ifndef PRESENCE_WEB_ROUTES_H
#define PRESENCE_WEB_ROUTES_H

#include <stddef.h>

#include "web.h"

/* A file of the badge or the dashboard; embed.py makes the list of them. */
struct file {
    const char *path; /* of the URL */
    const char *type;
    const char *tag, *packed_tag; /* ETag, as it is and compressed */
    const unsigned char *content;
    size_t length;
    const unsigned char *packed; /* by gzip */
    size_t packed_length;
};

extern const struct file files[];
extern const size_t files_count;

/* Return all routes that the options leave, `*ret_count` of them, or NULL if there is no memory.
 * The caller frees them. */
struct http_route *routes_new(const struct options *options, size_t *ret_count);

/* Answer a request that no route fits, as http_options' refuse. */
enum MHD_Result routes_refuse(void *web, struct http_request *request, unsigned status,
                              const char *allow);

#endif
