/* terminal.h - a full-screen view on the terminal of stdout. The terminal is restored whatever ends
 * the program: a key, a signal or a crash. Uses ECMA-48 escape sequences only. One at a time. */
#ifndef PRESENCECTL_TERMINAL_H
#define PRESENCECTL_TERMINAL_H

#include "canvas.h"

enum terminal_event {
    TERMINAL_TIMEOUT,
    TERMINAL_KEY,    /* *ret_key was pressed */
    TERMINAL_RESIZE, /* or the program was stopped and goes on: redraw everything */
    TERMINAL_END,    /* a signal came, or the terminal is gone */
};

/* True if stdout is a terminal that can show a full screen. */
bool terminal_is_usable(void);

/* Switch to the alternate screen and catch signals. Returns 0, or a negative errno. */
int terminal_open(void);

/* Restore the terminal and the signals' default actions. If a signal other than SIGINT ended the
 * view, raise it again. */
void terminal_close(void);

/* Get the terminal's size, 80 by 24 if it is unknown. */
void terminal_size(unsigned *ret_columns, unsigned *ret_rows);

/* Show a canvas of the terminal's size; `clear` erases the screen first. Returns 0, -ENOMEM, or
 * -EIO when the terminal is gone. */
int terminal_show(const struct canvas *canvas, bool clear);

/* Wait for an event for at most `timeout_ms` milliseconds. */
enum terminal_event terminal_wait(int timeout_ms, char *ret_key);

#endif
