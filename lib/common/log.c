#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_MAX_BYTES 1024

/* The lines printed in the current second. */
static struct {
    pthread_mutex_t mutex;
    time_t second;
    unsigned lines, left_out;
} budget = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Count one more line. Return true if it may be printed, with the number of lines dropped since the
 * last one in `ret_left_out`. */
static bool spend_budget(unsigned *ret_left_out)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&budget.mutex);
    if (budget.second != now.tv_sec) {
        budget.second = now.tv_sec;
        budget.lines = 0;
    }
    bool may = budget.lines < LOG_BURST;
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

/* Escape a text; `ret` has four times its bytes, and one. */
static void escape(const char *text, char *ret)
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

__attribute__((format(printf, 1, 0))) static void print_line(const char *format, va_list arguments,
                                                             unsigned left_out)
{
    char text[LINE_MAX_BYTES], line[4 * LINE_MAX_BYTES + 1], note[48] = "";

    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    escape(text, line);
    if (left_out)
        snprintf(note, sizeof(note), " (%u line%s before this left out)", left_out,
                 left_out == 1 ? "" : "s");
    fprintf(stderr, "%s: %s%s\n", program_invocation_short_name, line, note);
}

void log_arguments(const char *format, va_list arguments)
{
    unsigned left_out;

    if (spend_budget(&left_out))
        print_line(format, arguments, left_out);
}

void log_line(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    log_arguments(format, arguments);
    va_end(arguments);
}

void log_error(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    print_line(format, arguments, 0);
    va_end(arguments);
}

void log_text(const char *text)
{
    char *escaped = malloc(4 * strlen(text) + 1);
    char *line;

    if (!escaped)
        return;
    escape(text, escaped);
    if (asprintf(&line, "%s: %s\n", program_invocation_short_name, escaped) >= 0) {
        fputs(line, stderr); /* one write: it is unbuffered */
        free(line);
    }
    free(escaped);
}
