/* questions.h - ask the shipped reader, and write its answers as lines that can be compared. */
#ifndef PRESENCE_TESTS_QUESTIONS_H
#define PRESENCE_TESTS_QUESTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <presence/presence.h>

#define ANSWER_LINES 24

/* A line is what a reader shows of one thing: a scope, a minute, an event. Lines about the same
 * thing have the same name. */
struct answer {
    int error; /* of the call; then there are no lines */
    size_t length;
    struct answer_line {
        char name[96], text[224];
        uint64_t figure; /* visitors; is not in the text */
    } lines[ANSWER_LINES];
};

typedef void (*ask_function)(struct presence *presence, struct answer *ret);

/* A site that scenes have visitors on, its room, and the window that is asked for. */
#define QUESTIONS_SITE   "a.example"
#define QUESTIONS_ROOM   "/room"
#define QUESTIONS_WINDOW 2

void ask_site(struct presence *presence, struct answer *ret);
void ask_as_of(struct presence *presence, struct answer *ret); /* the site, and its time */
void ask_room(struct presence *presence, struct answer *ret);
void ask_nowhere(struct presence *presence, struct answer *ret); /* a room that never exists */
void ask_hour(struct presence *presence, struct answer *ret);    /* the site, in minutes */
void ask_seen(struct presence *presence, struct answer *ret);    /* visitor 0 of the site */
void ask_top(struct presence *presence, struct answer *ret);     /* rooms of the site */
void ask_sites(struct presence *presence, struct answer *ret);
void ask_busiest(struct presence *presence, struct answer *ret); /* rooms of all sites */
void ask_scan(struct presence *presence, struct answer *ret);
void ask_status(struct presence *presence, struct answer *ret);
void ask_peaks(struct presence *presence, struct answer *ret);      /* of the site */
void ask_room_peaks(struct presence *presence, struct answer *ret); /* of the room */
void ask_activity(struct presence *presence, struct answer *ret);   /* of the site */
void ask_room_activity(struct presence *presence, struct answer *ret);
void ask_history(struct presence *presence, struct answer *ret); /* of the site */
void ask_room_history(struct presence *presence, struct answer *ret);
void ask_histories(struct presence *presence, struct answer *ret);
void ask_refused(struct presence *presence, struct answer *ret);      /* the site */
void ask_room_refused(struct presence *presence, struct answer *ret); /* the room */
void ask_streams(struct presence *presence, struct answer *ret);
void ask_verify(struct presence *presence, struct answer *ret);

#endif
