/* web.h - serve as the file of --web.config.file says, and follow its changes. All functions: the
 * server's thread. */
#ifndef PRESENCE_EXPORTER_WEB_H
#define PRESENCE_EXPORTER_WEB_H

#include "http/http_server.h"

#define WEB_FILES_MAX 4

struct web;

/* Read the file and those that it names. NULL: one line was logged. `path` outlives it. */
struct web *web_open(const char *path);

/* Write the paths of the files that are read to `ret`; they are valid until the next web_refresh.
 * Returns how many there are. */
unsigned web_files(const struct web *web, const char *ret[WEB_FILES_MAX]);

/* Start the thread that checks passwords, after privileges are dropped. Errors: -EAGAIN out of
 * memory or threads. */
int web_start(struct web *web);

/* True if the file has a certificate: the server speaks TLS. */
bool web_has_tls(const struct web *web);

/* Read the files again if one has changed, or if `always`. If one is wrong, the former settings
 * stay, and one line is logged. */
void web_refresh(struct web *web, bool always);

/* Do what `secure`, `guard` and `add_headers` of http_options are for. The first two also notice
 * changes of the files. */
bool web_secure(struct web *web, void *session);
bool web_guard(struct web *web, struct http_request *request, enum MHD_Result *ret);
void web_add_headers(struct web *web, struct MHD_Response *response);

/* Refuse and resume all requests that wait for a password's check, before the server is stopped;
 * free everything, after it. NULL is ignored. */
void web_end(struct web *web);
void web_close(struct web *web);

#endif
