/* metrics_page.h - the pages of a program that shows metrics to Prometheus. Any thread. */
#ifndef PRESENCE_METRICS_PAGE_H
#define PRESENCE_METRICS_PAGE_H

#include "exposition.h"
#include "http_server.h"

/* Writes all families, and their end. Errors of writing are left in exposition->out. */
typedef void metrics_writer(struct exposition *exposition, const void *context);

/* Answer with what `write` writes, in the format that the client prefers, and compressed if it
 * accepts that. Out of memory: closes the connection. */
enum MHD_Result metrics_page_reply(struct http_request *request, metrics_writer *write,
                                   const void *context);

/* Answer with a page for people: the program's name, `purpose` (a sentence), and links to the
 * metrics at `path` and to /-/healthy. None of them needs escaping in HTML. */
enum MHD_Result metrics_page_reply_landing(struct http_request *request, const char *program,
                                           const char *purpose, const char *path);

#endif
