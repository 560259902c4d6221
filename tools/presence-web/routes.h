/* routes.h - which handler answers what. */
#ifndef PRESENCE_WEB_ROUTES_H
#define PRESENCE_WEB_ROUTES_H

#include "web.h"

/* All routes, built-in files' too; `*ret_count` of them. NULL: no memory. The caller frees it. */
struct http_route *routes_new(size_t *ret_count);

/* Answers what no route fits, as http_options' refuse. */
enum MHD_Result routes_refuse(void *web, struct http_request *request, unsigned status,
                              const char *allow);

#endif
