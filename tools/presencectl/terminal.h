/* terminal.h - a full screen on the terminal of stdout, and the terminal as it was afterwards,
 * whatever ends the program: a key, a signal, a failure. Plain ECMA-48 sequences, which every
 * terminal of today knows. One at a time. */
#ifndef PRESENCECTL_TERMINAL_H
#define PRESENCECTL_TERMINAL_H

#include "canvas.h"

enum terminal_event {
    TERMINAL_TIME,   /* nothing but time has passed */
    TERMINAL_KEY,    /* and *ret_key is it */
    TERMINAL_RESIZE, /* or came back from being stopped: all has to be drawn anew */
    TERMINAL_END,    /* a signal, or the terminal is gone */
};

/* Can there be a full screen? */
bool terminal_is_there(void);

/* Take the screen. Returns 0 or a negative errno. */
int terminal_open(void);

/* Give it back. After a signal that ends programs, that one ends this one, too; SIGINT does not. */
void terminal_close(void);

void terminal_size(unsigned *ret_columns, unsigned *ret_rows);

/* Show a canvas of the terminal's size. */
int terminal_show(const struct canvas *canvas, bool anew);

/* Wait for something to happen, at most so many milliseconds. */
enum terminal_event terminal_wait(int timeout_ms, char *ret_key);

#endif
