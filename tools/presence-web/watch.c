#include "watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"

/* A collector that stops and comes back, as for an update, is away for less than this, in which it
 * would not be missed if it had died instead (SEGMENT_STALE_AGE). */
#define RESTART_S 3

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

struct watch *watch_new(const struct place *place, uint32_t window_s)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->place = *place;
    watch->window_s = window_s;
    return watch;
}

void watch_free(struct watch *watch)
{
    if (!watch)
        return;
    text_release(watch->event);
    free(watch);
}

/* What is pushed when it changes; the rest of a number only ages. */
static void name_number(const struct number *number, char ret[WATCH_ID_SIZE])
{
    char count[12] = "none";

    if (number->known)
        snprintf(count, sizeof(count), "%" PRIu32, number->count);
    snprintf(ret, WATCH_ID_SIZE, "%s%s%s", count, number->stale ? "s" : "",
             number->warming ? "w" : "");
}

static struct text *make_event(const struct watch *watch)
{
    json_t *object = show_place(&watch->place, &watch->number);
    char *data = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII), *all = NULL;
    struct text *event = NULL;

    json_decref(object);
    if (data && asprintf(&all, "id: %s\nevent: count\ndata: %s\n\n", watch->id, data) >= 0)
        event = text_new(all);
    free(all);
    free(data);
    return event;
}

static bool is_restarting(const struct number *number)
{
    return number->stale && number->has_time && number->as_of_age_s <= RESTART_S;
}

static void look(struct watch *watch, struct numbers *numbers, bool refresh)
{
    struct number number;
    char id[WATCH_ID_SIZE];

    numbers_count(numbers, &watch->place, watch->window_s, &number);
    if (watch->version && is_restarting(&number))
        return;
    name_number(&number, id);
    bool new = !watch->event || strcmp(id, watch->id) != 0;
    if (!new && (!refresh || number.as_of == watch->number.as_of))
        return;
    watch->number = number;
    strcpy(watch->id, id);
    text_release(watch->event);
    watch->event = make_event(watch);
    watch->version += new;
}

void watch_look(struct watch *watch, struct numbers *numbers)
{
    look(watch, numbers, false);
}

void watch_refresh(struct watch *watch, struct numbers *numbers)
{
    look(watch, numbers, true);
}
