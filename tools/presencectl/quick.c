/* quick.c - presencectl as people run it. A plain count of a site that is there is printed here, by
 * a program that loads no library and no locale, which takes longer than counting. All the rest is
 * for presencectl-full, which is beside it, and does it from the beginning. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "presencectl.h"

#define FULL "presencectl-full"

/* A command line of `count` that has nothing special. */
struct plain {
    const char *words[3]; /* the command, the site, and a room or NULL */
    unsigned length;
    const char *segment;
    uint32_t window_s;
};

/* The value of the option that `*word` is, in the same word or the next, to which it is moved then;
 * NULL when it is another, or has none. */
static const char *value_of(const char *option, char ***word)
{
    size_t length = strlen(option);

    if (strncmp(**word, option, length) != 0)
        return NULL;
    if ((**word)[length] == '=')
        return **word + length + 1;
    return (**word)[length] || !(*word)[1] ? NULL : *++*word;
}

static bool read_plain(char **words, struct plain *ret)
{
    struct plain plain = {0};

    for (; *words; words++) {
        const char *value;
        if ((value = value_of("--segment", &words)) != NULL)
            plain.segment = value;
        else if ((value = value_of("--window", &words)) == NULL) {
            if (**words == '-' || plain.length == 3)
                return false;
            plain.words[plain.length++] = *words;
        } else if (!option_window(value, &plain.window_s)) {
            return false;
        }
    }
    *ret = plain;
    return plain.length >= 2 && strcmp(plain.words[0], "count") == 0;
}

/* Print it, and that it is a lower bound while the collector warms. Returns the exit status, or -1,
 * with nothing printed, where there is more to say. */
static int print_plain(const struct plain *plain)
{
    struct presence *presence;
    struct presence_reading reading;
    int status = -1;

    if (presence_open(plain->segment, &presence) < 0)
        return -1;
    int r = presence_count(presence, plain->words[1], plain->words[2], plain->window_s, &reading);
    if (r == 0 && !reading.stale && reading.last_heartbeat_s <= QUIET_AGE &&
        printf("%" PRIu32 "\n", reading.count) > 0 && fflush(stdout) == 0)
        status = note_reading(presence, &reading, "this is the count", NULL);
    presence_close(presence);
    return status;
}

static int run_full(char **argv)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/" FULL));

    if (length > 0) {
        path[length] = '\0';
        strcpy(strrchr(path, '/') + 1, FULL);
        execv(path, argv);
    } else {
        execvp(FULL, argv); /* without /proc */
    }
    complain("cannot run %s: %s; it belongs beside presencectl", length > 0 ? path : FULL,
             strerror(errno));
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct plain plain;
    int status = argc > 0 && read_plain(argv + 1, &plain) ? print_plain(&plain) : -1;

    return status < 0 ? run_full(argv) : status;
}
