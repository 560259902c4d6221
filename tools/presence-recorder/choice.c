#include "choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const struct choice_scope *)left)->name,
                  ((const struct choice_scope *)right)->name);
}

static int compare_with_name(const void *name, const void *scope)
{
    return strcmp(name, ((const struct choice_scope *)scope)->name);
}

static struct choice_scope *find(const struct choice_list *list, const char *name)
{
    return list->length
               ? bsearch(name, list->scopes, list->length, sizeof(*list->scopes), compare_with_name)
               : NULL;
}

/* Order by the last visitors, the latest first. */
static int compare_idle(const void *left, const void *right)
{
    const struct choice_scope *a = left, *b = right;

    if (a->here_at != b->here_at)
        return a->here_at > b->here_at ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void free_list(struct choice_list *list)
{
    for (size_t i = 0; i < list->length; i++)
        free(list->scopes[i].name);
    free(list->scopes);
    *list = (struct choice_list){0};
}

/* Add a copy of a scope to a list with room for it. */
static int add(struct choice_list *list, const char *name, int64_t here_at)
{
    char *copy = strdup(name);

    if (!copy)
        return -ENOMEM;
    list->scopes[list->length++] = (struct choice_scope){.name = copy, .here_at = here_at};
    return 0;
}

/* Choose up to `most` scopes: the first of the entries, then those that were chosen before and are
 * not idle for too long, the latest first. `*ret` is sorted by name. */
static int choose(const struct choice_list *before, const struct engine_entry *entries,
                  size_t length, size_t most, int64_t now, struct choice_list *ret)
{
    struct choice_list idle = {0}, chosen = {0};
    int r = -ENOMEM;

    chosen.scopes = calloc(most + 1, sizeof(*chosen.scopes));
    idle.scopes = calloc(before->length + 1, sizeof(*idle.scopes));
    if (!chosen.scopes || !idle.scopes)
        goto free;
    for (size_t i = 0; i < length && chosen.length < most; i++)
        if ((r = add(&chosen, entries[i].name, now)) < 0)
            goto free;
    qsort(chosen.scopes, chosen.length, sizeof(*chosen.scopes), compare_names);
    for (size_t i = 0; i < before->length; i++)
        if (now - before->scopes[i].here_at < CHOICE_IDLE_S &&
            !find(&chosen, before->scopes[i].name))
            idle.scopes[idle.length++] = before->scopes[i];
    qsort(idle.scopes, idle.length, sizeof(*idle.scopes), compare_idle);
    for (size_t i = 0; i < idle.length && chosen.length < most; i++)
        if ((r = add(&chosen, idle.scopes[i].name, idle.scopes[i].here_at)) < 0)
            goto free;
    qsort(chosen.scopes, chosen.length, sizeof(*chosen.scopes), compare_names);
    *ret = chosen;
    chosen = (struct choice_list){0};
    r = 0;
free:
    free(idle.scopes); /* the names are those of `before` */
    free_list(&chosen);
    return r;
}

static void free_details(struct choice_site *details)
{
    for (size_t kind = 0; kind < CHOICE_KINDS; kind++)
        free_list(&details->labels[kind]);
    *details = (struct choice_site){0};
}

int choice_put_sites(struct choice *choice, const struct engine_entry *entries, size_t length,
                     int64_t now)
{
    struct choice_list sites;
    int r = choose(&choice->sites, entries, length, CHOICE_SITES_MAX, now, &sites);

    if (r < 0)
        return r;
    struct choice_site *details = calloc(sites.length + 1, sizeof(*details));
    if (!details) {
        free_list(&sites);
        return -ENOMEM;
    }
    for (size_t i = 0; i < sites.length; i++) {
        const struct choice_scope *before = find(&choice->sites, sites.scopes[i].name);
        if (!before)
            continue;
        struct choice_site *moved = &choice->details[before - choice->sites.scopes];
        details[i] = *moved;
        *moved = (struct choice_site){0};
    }
    choice_free(choice);
    *choice = (struct choice){.sites = sites, .details = details};
    return 0;
}

int choice_put_labels(struct choice *choice, size_t site, enum presence_kind kind,
                      const struct engine_entry *entries, size_t length, int64_t now)
{
    struct choice_list *labels = &choice->details[site].labels[kind - PRESENCE_ROOM];
    size_t others = choice_count(choice) - labels->length, most = choice_share(choice);
    struct choice_list chosen;

    /* When sites were added, labels of others may have to go first, at their next listing. */
    if (others + most > CHOICE_SCOPES_MAX)
        most = others < CHOICE_SCOPES_MAX ? CHOICE_SCOPES_MAX - others : 0;
    int r = choose(labels, entries, length, most, now, &chosen);
    if (r < 0)
        return r;
    free_list(labels);
    *labels = chosen;
    return 0;
}

size_t choice_share(const struct choice *choice)
{
    size_t sites = choice->sites.length;
    size_t share = sites ? (CHOICE_SCOPES_MAX - sites) / (CHOICE_KINDS * sites) : CHOICE_LABELS_MAX;

    return share < CHOICE_LABELS_MAX ? share : CHOICE_LABELS_MAX;
}

size_t choice_take_due(struct choice *choice, int64_t now, bool again, enum presence_kind *ret_kind)
{
    size_t due = SIZE_MAX, due_kind = 0;

    for (size_t i = 0; i < choice->sites.length; i++)
        for (size_t kind = 0; kind < CHOICE_KINDS; kind++) {
            int64_t listed = choice->details[i].listed_at[kind];
            if ((listed && (!again || now - listed < CHOICE_EVERY_S)) ||
                (due != SIZE_MAX && listed >= choice->details[due].listed_at[due_kind]))
                continue;
            due = i;
            due_kind = kind;
        }
    if (due == SIZE_MAX)
        return due;
    choice->details[due].listed_at[due_kind] = now;
    *ret_kind = PRESENCE_ROOM + (enum presence_kind)due_kind;
    return due;
}

size_t choice_count(const struct choice *choice)
{
    size_t count = choice->sites.length;

    for (size_t i = 0; i < choice->sites.length; i++)
        for (size_t kind = 0; kind < CHOICE_KINDS; kind++)
            count += choice->details[i].labels[kind].length;
    return count;
}

void choice_free(struct choice *choice)
{
    for (size_t i = 0; i < choice->sites.length; i++)
        free_details(&choice->details[i]);
    free(choice->details);
    free_list(&choice->sites);
    *choice = (struct choice){0};
}
