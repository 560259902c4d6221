#include "sampler.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60

/* ---- lists ------------------------------------------------------------------------------- */

/* Make room for so many more. */
static int reserve(struct sampled_list *list, size_t more)
{
    size_t capacity = list->capacity ? list->capacity : 64;

    while (capacity < list->length + more)
        capacity *= 2;
    if (capacity == list->capacity)
        return 0;
    struct sampled **items = reallocarray(list->items, capacity, sizeof(struct sampled *));
    if (!items)
        return -ENOMEM;
    list->items = items;
    list->capacity = capacity;
    return 0;
}

/* Free the first `count` items, and move the others to the front. */
static void discard_first(struct sampled_list *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list->items[i]);
    list->length -= count;
    if (list->length)
        memmove(list->items, list->items + count, list->length * sizeof(struct sampled *));
}

static void free_list(struct sampled_list *list)
{
    discard_first(list, list->length);
    free(list->items);
    *list = (struct sampled_list){0};
}

/* ---- the running minute ------------------------------------------------------------------ */

static int compare(const void *left, const void *right)
{
    const struct presence_scope *a = &((const struct sampled *)left)->scope;
    const struct presence_scope *b = &((const struct sampled *)right)->scope;
    int order = (int)a->kind - (int)b->kind;

    if (order == 0)
        order = strcmp(a->site, b->site);
    return order ? order : strcmp(a->name, b->name);
}

static void keep_item(void *item)
{
    (void)item; /* the list has it */
}

/* Find the scope's running minute, or begin it with nothing sampled. Returns NULL without memory.
 */
static struct sampled *find(struct sampler *sampler, const struct presence_scope *scope)
{
    struct sampled key = {.scope = *scope};
    struct sampled **found = tfind(&key, &sampler->index, compare);

    if (found)
        return *found;
    struct sampled *sampled = malloc(sizeof(*sampled));
    if (!sampled || reserve(&sampler->running, 1) < 0)
        goto fail;
    *sampled = key;
    sampled->minute.minute = (uint64_t)sampler->minute;
    sampled->minute.start = MINUTE * sampler->minute;
    if (!tsearch(sampled, &sampler->index, compare))
        goto fail;
    sampler->running.items[sampler->running.length++] = sampled;
    return sampled;
fail:
    free(sampled);
    return NULL;
}

void sampler_end(struct sampler *sampler)
{
    struct sampled_list *running = &sampler->running, *over = &sampler->over;

    tdestroy(sampler->index, keep_item);
    sampler->index = NULL;
    sampler->minute = 0;
    sampler->seconds = 0;
    if (reserve(over, running->length) < 0) { /* nothing else can be done with them */
        sampler->dropped += running->length;
        discard_first(running, running->length);
        return;
    }
    for (size_t i = 0; i < running->length; i++)
        over->items[over->length++] = running->items[i];
    running->length = 0;
    if (over->length > SAMPLER_OVER_MAX) {
        sampler->dropped += over->length - SAMPLER_OVER_MAX;
        discard_first(over, over->length - SAMPLER_OVER_MAX);
    }
}

bool sampler_begin(struct sampler *sampler, int64_t at)
{
    int64_t minute = at / MINUTE;
    uint64_t second = UINT64_C(1) << (at % MINUTE);

    if (minute != sampler->minute) {
        sampler_end(sampler);
        sampler->minute = minute;
    }
    if (sampler->seconds & second)
        return false;
    sampler->seconds |= second;
    sampler->at = at;
    return true;
}

int sampler_add(struct sampler *sampler, enum presence_kind kind, const char *site,
                const char *name, const struct sample *sample)
{
    struct presence_scope scope = {.kind = kind};

    snprintf(scope.site, sizeof(scope.site), "%s", site);
    snprintf(scope.name, sizeof(scope.name), "%s", kind == PRESENCE_SITE ? "" : name);
    struct sampled *sampled = find(sampler, &scope);
    if (!sampled)
        return -ENOMEM;
    struct archive_minute *minute = &sampled->minute;
    if (minute->seconds >= MINUTE) /* continued, after the clock was set back */
        return 0;
    if (minute->seconds == 0 || sample->count < minute->minimum)
        minute->minimum = sample->count;
    if (sample->count > minute->maximum)
        minute->maximum = sample->count;
    if (sample->count > sampled->peak.count)
        sampled->peak = (struct archive_peak){.count = sample->count, .at = sampler->at};
    minute->seconds++;
    sampled->sum += (double)sample->count;
    minute->mean = sampled->sum / minute->seconds;
    minute->warming = minute->warming || sample->warming;
    minute->partial = minute->partial || sample->partial;
    return 0;
}

int sampler_continue(struct sampler *sampler, const struct presence_scope *scope,
                     const struct archive_minute *minute)
{
    if (minute->minute != (uint64_t)sampler->minute || minute->seconds == 0)
        return 0;
    struct sampled *sampled = find(sampler, scope);
    if (!sampled)
        return -ENOMEM;
    sampled->minute = *minute;
    sampled->sum = minute->mean * minute->seconds;
    sampler->seconds |= (UINT64_C(2) << (sampler->at % MINUTE)) - 1;
    return 0;
}

void sampler_discard(struct sampler *sampler)
{
    discard_first(&sampler->over, sampler->over.length);
}

void sampler_free(struct sampler *sampler)
{
    tdestroy(sampler->index, keep_item);
    free_list(&sampler->running);
    free_list(&sampler->over);
    *sampler = (struct sampler){0};
}
