/* compat.h - answer clients of other systems at their own addresses.
 *
 * A route only knows where a request names its site and which shape its answer has. The numbers are
 * those of the API. */
#ifndef PRESENCE_WEB_COMPAT_H
#define PRESENCE_WEB_COMPAT_H

#include "web.h"

struct problem;

/* The routes for http_options, which --no-compat leaves out. */
extern const struct http_route compat_routes[];
extern const size_t compat_routes_count;

/* ---- rest.c ---------------------------------------------------------------------------------- */

#define REST_PATH "/rest/v1/" /* below it, everything is answered as by Supabase */

/* Handlers of type http_handler: of POST below rpc/, of any other request there, and of CORS
 * preflights. */
enum MHD_Result rest_call(void *web, struct http_request *request);
enum MHD_Result rest_refuse(void *web, struct http_request *request);
enum MHD_Result rest_preflight(void *web, struct http_request *request);

/* Answer with a problem in PostgREST's shape. */
enum MHD_Result rest_respond_problem(const struct web *web, struct http_request *request,
                                     const struct problem *problem);

#endif
