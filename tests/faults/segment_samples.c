/* segment_samples - read counts from a segment when told to, by libpresence as programs do.
 *
 * Usage: segment_samples PATH
 * Each line of stdin is a question; fields are separated by tabs:
 *     count KIND WINDOW SITE NAME
 *     seen SITE ID
 *     list KIND WINDOW SITE
 *     crowd HANDLES WINDOW SITE
 * with the KIND of enum presence_kind and the WINDOW in seconds. Answers are lines in order, times
 * being nanoseconds of CLOCK_BOOTTIME before and after the reading:
 *     BEGIN END ERROR COUNT FLAGS AGE AS_OF NAME
 * FLAGS are the digits of exists, known, partial, stale and warming. A list has a line for each
 * scope, and a crowd one for each handle, which are all opened before the first one counts; then
 * follows an empty line. The first handle stays open for all questions, across whatever becomes of
 * the segment.
 */
#include <errno.h>
#include <inttypes.h>
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"

#define CROWD_MAX 1000

static const char *path;
static struct presence *lasting; /* NULL: it could not be opened yet */

static int64_t boottime_ns(void)
{
    return monotonic_of(CLOCK_BOOTTIME);
}

static void print(int64_t begin, int error, const struct presence_reading *found, const char *name)
{
    printf("%" PRId64 " %" PRId64 " %d %u %d%d%d%d%d %" PRIu64 " %" PRId64 " %s\n", begin,
           boottime_ns(), -error, found->count, found->exists, found->known, found->partial,
           found->stale, found->warming, found->as_of_age_s, found->as_of, name);
}

/* Open the handle that lasts, unless it is open. Returns 0 or a negative errno. */
static int ensure_open(void)
{
    return lasting ? 0 : presence_open(path, &lasting);
}

static void count(char **words)
{
    struct presence_reading found = {0};
    int64_t begin = boottime_ns();
    int error = ensure_open();

    if (error == 0)
        error = presence_count_scope(lasting, (enum presence_kind)atoi(words[1]), words[3],
                                     words[4], (uint32_t)atoi(words[2]), &found);
    print(begin, error, &found, "");
}

static void see(char **words)
{
    struct presence_reading found = {0};
    int64_t begin = boottime_ns();
    int error = ensure_open();

    if (error == 0)
        error = presence_seen(lasting, words[1], words[2], &found);
    print(begin, error, &found, "");
}

static void list(char **words)
{
    struct presence_listing found = {0};
    enum presence_kind kind = (enum presence_kind)atoi(words[1]);
    uint32_t window = (uint32_t)atoi(words[2]);
    int64_t begin = boottime_ns();
    int error = ensure_open();

    if (error == 0)
        error = kind == PRESENCE_SITE ? presence_sites(lasting, window, &found)
                                      : presence_top(lasting, words[3], kind, window, 0, &found);
    if (error < 0)
        print(begin, error, &found.site, "");
    for (size_t i = 0; i < found.length; i++) {
        struct presence_reading reading = found.site;
        reading.count = found.entries[i].count;
        reading.partial = found.entries[i].partial;
        reading.exists = reading.known = true;
        print(begin, 0, &reading, found.entries[i].name);
    }
    if (error == 0)
        presence_listing_free(&found);
    printf("\n");
}

static void crowd(char **words)
{
    static struct presence *handles[CROWD_MAX];
    static int errors[CROWD_MAX];
    int number = atoi(words[1]);

    for (int i = 0; i < number && i < CROWD_MAX; i++) {
        handles[i] = NULL;
        errors[i] = presence_open(path, &handles[i]);
    }
    for (int i = 0; i < number && i < CROWD_MAX; i++) {
        struct presence_reading found = {0};
        int64_t begin = boottime_ns();
        int error = errors[i];
        if (error == 0)
            error = presence_count(handles[i], words[3], NULL, (uint32_t)atoi(words[2]), &found);
        print(begin, error, &found, "");
        presence_close(handles[i]);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*answer)(char **words);
    } questions[] = {{"count", count}, {"seen", see}, {"list", list}, {"crowd", crowd}};
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (argc != 2)
        return 2;
    path = argv[1];
    while ((length = getline(&line, &size, stdin)) > 0) {
        char empty[] = "", *words[5], *position = line;
        line[length - 1] = '\0';
        for (int i = 0; i < 5; i++)
            words[i] = position ? strsep(&position, "\t") : empty;
        for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
            if (strcmp(words[0], questions[i].name) == 0)
                questions[i].answer(words);
        fflush(stdout);
    }
    free(line);
    presence_close(lasting);
    return 0;
}
