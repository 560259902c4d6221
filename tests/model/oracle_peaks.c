#include "oracle_peaks.h"

#include <stdlib.h>
#include <string.h>

void oracle_lives_begin(struct oracle_lives *lives, uint64_t since)
{
    if (lives->length == lives->capacity) {
        lives->capacity = lives->capacity ? lives->capacity * 2 : 4;
        lives->lives = realloc(lives->lives, lives->capacity * sizeof(*lives->lives));
    }
    lives->lives[lives->length++] = (struct oracle_life){.since = since};
}

static void raise_peak(struct oracle_peak *peak, unsigned count, uint64_t now, bool begins)
{
    if (begins || count > peak->count)
        *peak = (struct oracle_peak){count, now};
}

void oracle_lives_sample(struct oracle_lives *lives, unsigned count, uint64_t now, bool is_new_day)
{
    for (unsigned i = 0; i < lives->length; i++) {
        struct oracle_life *life = &lives->lives[i];
        raise_peak(&life->today, count, now, is_new_day || life->samples == 0);
        raise_peak(&life->ever, count, now, life->samples == 0);
        life->samples++;
    }
}

const struct oracle_life *oracle_lives_find(const struct oracle_lives *lives, uint64_t since)
{
    for (unsigned i = lives->length; i > 0; i--)
        if (lives->lives[i - 1].since == since)
            return &lives->lives[i - 1];
    return NULL;
}

void oracle_lives_settle(struct oracle_lives *lives, uint64_t since)
{
    unsigned over = 0;

    while (over < lives->length && lives->lives[over].since < since)
        over++;
    lives->length -= over;
    if (over)
        memmove(lives->lives, lives->lives + over, lives->length * sizeof(*lives->lives));
}

void oracle_lives_free(struct oracle_lives *lives)
{
    free(lives->lives);
    *lives = (struct oracle_lives){0};
}
