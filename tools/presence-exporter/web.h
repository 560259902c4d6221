/* web.h - serve as the file of --web.config.file says, and as it says after a change. All
 * functions: the server's thread. */
#ifndef PRESENCE_EXPORTER_WEB_H
#define PRESENCE_EXPORTER_WEB_H

#include "http/http_server.h"

#define WEB_FILES_MAX 4

struct web;

/* Read the file and those that it names. NULL: one line was logged. `path` outlives it. */
struct web *web_open(const char *path);

/* Write the paths of the files that are read to `ret`, which are good until they are read again.
 * Returns how many there are. */
unsigned web_files(const struct web *web, const char *ret[WEB_FILES_MAX]);

/* Start the thread that checks passwords; called when privileges are dropped. Errors: -EAGAIN. */
int web_start(struct web *web);

/* Make the server secure and guarded; its context is passed to web_... as `web`. */
bool web_has_tls(const struct web *web);

/* Read the files again if one has changed, or if `always`. If one is wrong, the former settings
 * stay, and one line is logged. */
void web_refresh(struct web *web, bool always);

/* For http_options: secure, guard and add_headers. */
bool web_secure(struct web *web, void *session);
bool web_guard(struct web *web, struct http_request *request, enum MHD_Result *ret);
void web_add_headers(struct web *web, struct MHD_Response *response);

/* Resume all requests that wait; called before the server is stopped, and web_close after it. NULL
 * is ignored. */
void web_end(struct web *web);
void web_close(struct web *web);

#endif
