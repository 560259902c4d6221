/* files.h - the badge's script and the dashboard: files that are built into the program. */
#ifndef PRESENCE_WEB_FILES_H
#define PRESENCE_WEB_FILES_H

#include <stddef.h>

#include "web.h"

struct file {
    const char *path; /* of the URL */
    const char *type;
    const char *tag, *packed_tag; /* ETag, as it is and compressed */
    const unsigned char *content;
    size_t length;
    const unsigned char *packed; /* by gzip */
    size_t packed_length;
};

/* Made by embed.py. */
extern const struct file files[];
extern const size_t files_count;

/* Handles GET of the path of one of them. */
enum MHD_Result files_handle(void *web, struct http_request *request);

#endif
