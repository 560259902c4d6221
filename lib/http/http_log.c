#include "http_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 1024

/* How many lines this second has had. */
static struct {
    pthread_mutex_t mutex;
    time_t second;
    unsigned lines, left_out;
} budget = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* May another line be printed? `ret_left_out`: how many were not since the last one. */
static bool take_from_budget(unsigned *ret_left_out)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&budget.mutex);
    if (budget.second != now.tv_sec) {
        budget.second = now.tv_sec;
        budget.lines = 0;
    }
    bool may = budget.lines < HTTP_LOG_BURST;
    if (may) {
        budget.lines++;
        *ret_left_out = budget.left_out;
        budget.left_out = 0;
    } else {
        budget.left_out++;
    }
    pthread_mutex_unlock(&budget.mutex);
    return may;
}

static void escape(const char *text, char ret[4 * LINE_MAX_BYTES + 1])
{
    size_t used = 0;

    for (; *text; text++) {
        if (*text >= ' ' && *text <= '~')
            ret[used++] = *text;
        else
            used += (size_t)sprintf(ret + used, "\\x%02x", (unsigned char)*text);
    }
    ret[used] = '\0';
}

void http_log_arguments(const char *format, va_list arguments)
{
    char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES + 1], note[48] = "";
    unsigned left_out;

    if (!take_from_budget(&left_out))
        return;
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    escape(text, line);
    if (left_out)
        snprintf(note, sizeof(note), " (%u lines before this left out)", left_out);
    fprintf(stderr, "%s: %s%s\n", program_invocation_short_name, line, note);
}

void http_log(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    http_log_arguments(format, arguments);
    va_end(arguments);
}
