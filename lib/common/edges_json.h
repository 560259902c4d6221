/* edges_json.h - JSON of edges and of senders' streams, the same in all programs. */
#ifndef PRESENCE_EDGES_JSON_H
#define PRESENCE_EDGES_JSON_H

#include <jansson.h>

#include "edges.h"

/* Build an object that says how many edges are alive, how many are gone, and for how long. Any
 * thread. */
json_t *edges_build(const struct edges *edges);

/* Build an object of a stream. What is not known of it is null. Any thread. */
json_t *edges_build_stream(const struct presence_stream *stream);

#endif
