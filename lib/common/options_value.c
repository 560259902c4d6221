#include "options_value.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "time_text.h"

static int set_text(const struct option_entry *entry, const char *text, char **ret)
{
    char *copy = strdup(text);
    int r = !copy ? -ENOMEM : 0;

    if (r == 0 &&
        (!*copy || (entry->kind == OPTION_KIND_TEXT && entry->max && strlen(copy) > entry->max)))
        r = -EINVAL;
    if (r == 0 && entry->check)
        r = entry->check(copy);
    if (r < 0) {
        free(copy);
        return r;
    }
    free(*ret);
    *ret = copy;
    return 0;
}

static int append_text(const struct option_entry *entry, const char *text, struct option_list *list)
{
    char *item = NULL;

    if (entry->max && list->count == entry->max)
        return -ENOSPC;
    int r = set_text(entry, text, &item);
    if (r < 0)
        return r;
    char **items = reallocarray(list->items, list->count + 1, sizeof(*items));
    if (!items) {
        free(item);
        return -ENOMEM;
    }
    items[list->count++] = item;
    list->items = items;
    return 0;
}

static int parse_number(const struct option_entry *entry, const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || number < entry->min || number > entry->max)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int parse_decimal(const struct option_entry *entry, const char *text, double *ret)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end || !isfinite(number) || number < entry->decimal_min ||
        number > entry->decimal_max)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int parse_uint32(const struct option_entry *entry, const char *text, uint32_t *ret)
{
    bool is_duration = entry->kind == OPTION_KIND_DURATION;
    uint64_t number;
    int r = is_duration ? duration_parse(text, &number) : parse_number(entry, text, &number);

    if (r == 0 && (number < entry->min || number > entry->max || number > UINT32_MAX))
        r = -EINVAL;
    if (r == 0)
        *ret = (uint32_t)number;
    return r;
}

static int parse_word(const struct option_entry *entry, const char *text, unsigned *ret)
{
    for (unsigned i = (unsigned)entry->min; entry->words[i]; i++) {
        if (strcmp(text, entry->words[i]) == 0) {
            *ret = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_flag(const char *text, bool *ret)
{
    bool yes = strcmp(text, "yes") == 0;

    if (!yes && strcmp(text, "no") != 0)
        return -EINVAL;
    *ret = yes;
    return 0;
}

int option_set(const struct option_entry *entry, void *target, const char *text)
{
    void *value = (char *)target + entry->offset;

    switch (entry->kind) {
    case OPTION_KIND_FLAG:
        return parse_flag(text, value);
    case OPTION_KIND_TEXT:
        return set_text(entry, text, value);
    case OPTION_KIND_LIST:
        return append_text(entry, text, value);
    case OPTION_KIND_UINT32:
    case OPTION_KIND_DURATION:
        return parse_uint32(entry, text, value);
    case OPTION_KIND_UINT64:
        return parse_number(entry, text, value);
    case OPTION_KIND_DECIMAL:
        return parse_decimal(entry, text, value);
    case OPTION_KIND_WORD:
        return parse_word(entry, text, value);
    case OPTION_KIND_PARSED:
        return entry->parse(value, text);
    case OPTION_KIND_HEADING:
        break;
    }
    return -EINVAL;
}

static void format_words(const struct option_entry *entry, char *ret, size_t size)
{
    size_t used = 0;

    for (unsigned i = (unsigned)entry->min; entry->words[i] && used < size; i++) {
        const char *before = i == entry->min ? "" : entry->words[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(ret + used, size - used, "%s%s", before, entry->words[i]);
    }
}

void option_expected(const struct option_entry *entry, char *ret, size_t size)
{
    if (entry->expected) {
        snprintf(ret, size, "%s", entry->expected);
        return;
    }
    switch (entry->kind) {
    case OPTION_KIND_FLAG:
        snprintf(ret, size, "yes or no");
        break;
    case OPTION_KIND_UINT32:
    case OPTION_KIND_UINT64:
        snprintf(ret, size, "a whole number from %" PRIu64 " to %" PRIu64, entry->min, entry->max);
        break;
    case OPTION_KIND_DECIMAL:
        snprintf(ret, size, "a number from %g to %.0f", entry->decimal_min, entry->decimal_max);
        break;
    case OPTION_KIND_DURATION:
        snprintf(ret, size, "a duration from %s to %s, such as 90, 90s, 5m or 1h",
                 show_window((uint32_t)entry->min).text, show_duration(entry->max).text);
        break;
    case OPTION_KIND_WORD:
        format_words(entry, ret, size);
        break;
    default:
        if (entry->kind == OPTION_KIND_TEXT && entry->max)
            snprintf(ret, size, "1 to %" PRIu64 " bytes", entry->max);
        else
            snprintf(ret, size, "a value that is not empty");
    }
}
