/* watch_view.h - the live view: draws a model on a canvas of any size. */
#ifndef PRESENCECTL_WATCH_VIEW_H
#define PRESENCECTL_WATCH_VIEW_H

#include "canvas.h"
#include "common/edges.h"
#include "graph.h"
#include "presence/presence.h"

struct watch_model {
    const char *site;
    struct presence_activity activity;
    struct edges edges;        /* why the site is quiet, if it is */
    struct presence_peak peak; /* of today; count 0: none */
    struct presence_status status;
    struct graph graph; /* of the last minutes; may have no points */
    enum presence_kind by;
    struct presence_listing listing;     /* the busiest scopes of that kind */
    const struct presence_event *events; /* oldest first */
    size_t events_length;
    double heartbeats_per_s; /* of all sites; negative: not known yet */
    uint64_t rejected;       /* datagrams, of all sites, since counting began */
    uint64_t dropped;
};

/* Draw the model on a blank canvas. Parts that don't fit are left out, the count last. */
void watch_draw(struct canvas *canvas, const struct watch_model *model);

#endif
