#include "edges.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "time_text.h"

/* A heartbeat's stream and its site may be stored a tick apart. */
#define TICKS_APART 1

/* Streams without visitors whose predecessor is looked for, each in a pass over the list. */
#define IDLE_MAX 64

/* True if a stream with visitors was restarted as this one. */
static bool follows_an_edge(const struct presence_streams *streams,
                            const struct presence_stream *stream)
{
    for (size_t i = 0; i < streams->length; i++) {
        const struct presence_stream *former = &streams->streams[i];
        if (former->restarted && former->heartbeats && former->key_id == stream->key_id &&
            former->target == stream->target && strcmp(former->address, stream->address) == 0)
            return true;
    }
    return false;
}

struct edges edges_judge(const struct presence_streams *streams, uint64_t quiet_s)
{
    struct edges edges = {0};
    unsigned idle = 0;

    for (size_t i = 0; i < streams->length; i++) {
        const struct presence_stream *stream = &streams->streams[i];
        if (!stream->heartbeats && (++idle > IDLE_MAX || !follows_an_edge(streams, stream)))
            continue;
        if (!stream->silent) {
            edges.alive++;
        } else if (!stream->restarted && stream->last_s <= quiet_s + TICKS_APART) {
            edges.gone++;
            edges.gone_s = stream->last_s; /* the last heard come first */
        }
    }
    return edges;
}

struct edges edges_load(struct presence *presence, uint64_t quiet_s)
{
    struct presence_streams streams;

    if (presence_streams(presence, &streams) < 0)
        return (struct edges){0};
    struct edges edges = {0};
    if (!streams.moment.stale)
        edges = edges_judge(&streams, quiet_s);
    presence_streams_free(&streams);
    return edges;
}

const char *edges_state(const struct presence_stream *stream)
{
    return stream->restarted ? "restarted" : stream->silent ? "silent" : "alive";
}

struct edges_states edges_count(const struct presence_streams *streams)
{
    struct edges_states states = {0};

    for (size_t i = 0; i < streams->length; i++) {
        const struct presence_stream *stream = &streams->streams[i];
        states.restarted += stream->restarted;
        states.silent += stream->silent && !stream->restarted;
        states.alive += !stream->silent;
    }
    return states;
}

void edges_format_id(const struct presence_stream *stream, char ret[EDGES_ID_SIZE])
{
    snprintf(ret, EDGES_ID_SIZE, "%016" PRIx64, stream->id);
}

struct shown_edges edges_show(const struct edges *edges)
{
    struct shown_edges shown = {"whether its edge is alive is not known"};
    struct shown_duration ago = show_duration(edges->gone_s);
    char others[64] = "";

    if (edges->gone && edges->alive)
        snprintf(others, sizeof(others), ", and %zu other%s alive", edges->alive,
                 edges->alive == 1 ? " is" : "s are");
    if (edges->gone > 1)
        snprintf(shown.text, sizeof(shown.text), "%zu edges fell silent, the first %s ago%s",
                 edges->gone, ago.text, others);
    else if (edges->gone)
        snprintf(shown.text, sizeof(shown.text), "an edge fell silent %s ago%s", ago.text, others);
    else if (edges->alive)
        snprintf(shown.text, sizeof(shown.text), "%zu edge%s alive, with nobody there",
                 edges->alive, edges->alive == 1 ? " is" : "s are");
    return shown;
}
