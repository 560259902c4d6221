#include "watch.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_whole.h"
#include "response.h"

struct text *text_new(const char *bytes)
{
    size_t length = strlen(bytes);
    struct text *text = malloc(sizeof(*text) + length);

    if (!text)
        return NULL;
    *text = (struct text){.references = 1, .length = length};
    memcpy(text->bytes, bytes, length);
    return text;
}

struct text *text_hold(struct text *text)
{
    text->references++;
    return text;
}

void text_release(struct text *text)
{
    if (text && --text->references == 0)
        free(text);
}

/* ---- one watch ------------------------------------------------------------------------------ */

static struct watch *watch_new(struct watches *watches, const struct place *place,
                               uint32_t window_s)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->watches = watches;
    watch->place = *place;
    watch->window_s = window_s;
    return watch;
}

static void watch_free(struct watch *watch)
{
    text_release(watch->event);
    free(watch);
}

/* True if the parts of two numbers are the same whose change is pushed; the others only age. */
static bool is_same(const struct number *a, const struct number *b)
{
    return a->known == b->known && (!a->known || a->count == b->count) && a->stale == b->stale &&
           a->warming == b->warming && a->partial == b->partial;
}

/* Format those parts. */
static void format_id(const struct number *number, char ret[WATCH_ID_SIZE])
{
    char count[WATCH_ID_SIZE - 3] = "none";

    if (number->known)
        snprintf(count, sizeof(count), "%" PRIu64, number->count);
    snprintf(ret, WATCH_ID_SIZE, "%s%s%s%s", count, number->stale ? "s" : "",
             number->warming ? "w" : "", number->partial ? "p" : "");
}

static struct text *build_event(const struct watch *watch)
{
    json_t *object = build_place_count(&watch->place, &watch->number);
    char *data = json_whole_text(object, JSON_COMPACT | JSON_ENSURE_ASCII), *all = NULL;
    struct text *event = NULL;

    if (data && asprintf(&all, "id: %s\nevent: count\ndata: %s\n\n", watch->id, data) >= 0)
        event = text_new(all);
    if (event)
        event->fields = event->length - strlen("\n\n") - strlen(data) + strlen("{");
    free(all);
    free(data);
    return event;
}

/* True if a number is not to be shown yet: a newer one will come soon, unless the last one is stale
 * meanwhile; or the collector may only be starting anew. */
static bool is_early(const struct watch *watch, const struct number *number)
{
    if (number->pending)
        return !watch->version || !number->has_time || !number->stale;
    return watch->version && number->may_be_restart;
}

static void read_number(struct watch *watch, struct live *live, bool refresh)
{
    struct number number;

    live_count(live, &watch->place, watch->window_s, &number);
    if (is_early(watch, &number))
        return;
    bool new = !watch->event || !is_same(&number, &watch->number);
    if (!new && (!refresh || number.as_of == watch->number.as_of))
        return;
    watch->number = number;
    format_id(&number, watch->id);
    text_release(watch->event);
    watch->event = build_event(watch);
    watch->version += new;
    watch->watches->changes += new;
}

void watch_refresh(struct watch *watch, struct live *live)
{
    read_number(watch, live, true);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static int compare_watches(const void *left, const void *right)
{
    const struct watch *a = left, *b = right;
    int order = strcmp(a->place.site, b->place.site);

    if (order == 0)
        order = strcmp(a->place.room, b->place.room);
    if (order == 0)
        order = (a->window_s > b->window_s) - (a->window_s < b->window_s);
    return order;
}

struct watch *watches_get(struct watches *watches, const struct place *place, uint32_t window_s)
{
    struct watch *watch = watch_new(watches, place, window_s);

    if (!watch)
        return NULL;
    struct watch **found = tsearch(watch, &watches->places, compare_watches);
    if (!found || *found != watch)
        watch_free(watch);
    if (!found)
        return NULL;
    if (*found == watch)
        LIST_INSERT_HEAD(&watches->all, watch, all);
    (*found)->users++;
    return *found;
}

void watches_put(struct watches *watches, struct watch *watch)
{
    if (--watch->users)
        return;
    tdelete(watch, &watches->places, compare_watches);
    LIST_REMOVE(watch, all);
    watch_free(watch);
}

void watches_poll(struct watches *watches, struct live *live)
{
    struct watch *watch;

    if (!live_is_news(live, &watches->mark))
        return;
    LIST_FOREACH(watch, &watches->all, all)
    read_number(watch, live, false);
}
