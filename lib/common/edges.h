/* edges.h - tell why a site is quiet (R6): its edges are alive with nobody there, or one is gone.
 */
#ifndef PRESENCE_EDGES_H
#define PRESENCE_EDGES_H

#include "presence/presence.h"

/* The edges that number their datagrams, by the streams of these. A sender of no visitor, such as a
 * presence-web that only reads, is none, unless it is an edge that was restarted. All 0: none is
 * known that could have sent the site's last heartbeat or is heard now. */
struct edges {
    size_t alive;    /* they are heard */
    size_t gone;     /* they fell silent after the site's last heartbeat, and were not restarted */
    uint64_t gone_s; /* seconds since the first of these was last heard */
};

/* Judge the edges for a site whose last heartbeat came `quiet_s` seconds before the streams were
 * listed. Any thread. */
struct edges edges_judge(const struct presence_streams *streams, uint64_t quiet_s);

/* List the streams and judge the edges; all 0 if there is no memory, or the collector keeps no
 * streams or is stale. The handle's thread. */
struct edges edges_load(struct presence *presence, uint64_t quiet_s);

/* Return "alive", "silent" or "restarted". Any thread. */
const char *edges_state(const struct presence_stream *stream);

/* How many streams are in each of these states. */
struct edges_states {
    size_t alive, silent, restarted;
};

struct edges_states edges_count(const struct presence_streams *streams);

#define EDGES_ID_SIZE 17

/* Format a stream's id as it is on the wire: 16 hex digits. Any thread. */
void edges_format_id(const struct presence_stream *stream, char ret[EDGES_ID_SIZE]);

#define EDGES_TEXT_SIZE 160

struct shown_edges {
    char text[EDGES_TEXT_SIZE];
};

/* Describe the edges in a main clause, such as "2 edges are alive, with nobody there". Any thread.
 */
struct shown_edges edges_show(const struct edges *edges);

#endif
