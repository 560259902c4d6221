/* watch_view.h - what the live view shows, and where: from a model to a canvas of any size. */
#ifndef PRESENCECTL_WATCH_VIEW_H
#define PRESENCECTL_WATCH_VIEW_H

#include "canvas.h"
#include "graph.h"
#include "presence/presence.h"

struct watch_model {
    const char *site;
    bool known; /* otherwise there is no reading: nobody was there within the longest window */
    struct presence_activity activity;
    struct presence_peak peak; /* today's; count 0: none */
    struct presence_status status;
    struct graph graph; /* of the last minutes; may be of 0 points */
    enum presence_kind by;
    struct presence_listing listing;     /* the busiest of that kind */
    const struct presence_event *events; /* oldest first */
    size_t events_length;
    double heartbeats_per_s; /* of all sites; below 0: not known yet */
    uint64_t rejected;       /* datagrams, of all sites, since counting began */
    uint64_t dropped;
};

/* Draw on a blank canvas. What there is no room for is left out, the count last. */
void watch_draw(struct canvas *canvas, const struct watch_model *model);

#endif
