#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define EVERY_NS  100000000
#define BAR_WIDTH 30

static int64_t shown_at = -EVERY_NS;
static bool shown;

void progress_show(int64_t now_ns, uint64_t heartbeats, double part)
{
    static const char full[] = "##############################";
    static const char empty[] = "..............................";
    double seconds = (double)now_ns / 1e9;

    if (now_ns - shown_at < EVERY_NS)
        return;
    shown_at = now_ns;
    if (!isatty(STDERR_FILENO))
        return;
    int width = part < 1 ? (int)(part * BAR_WIDTH) : BAR_WIDTH;
    fprintf(stderr, "\r[%.*s%.*s] %3.0f %%  %.3g heartbeats/s  %.0f s\033[K", width, full,
            BAR_WIDTH - width, empty, part * 100, seconds > 0 ? (double)heartbeats / seconds : 0,
            seconds);
    shown = true;
}

void progress_clear(void)
{
    if (shown)
        fputs("\r\033[K", stderr);
    shown = false;
}
