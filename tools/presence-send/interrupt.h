/* interrupt.h - SIGINT and SIGTERM end the program in good order. */
#ifndef PRESENCE_SEND_INTERRUPT_H
#define PRESENCE_SEND_INTERRUPT_H

#include <poll.h>
#include <stdbool.h>

/* Take the two signals from now on. */
void interrupt_take(void);

/* True once one of them has come. */
bool interrupt_came(void);

/* poll(2) for `timeout_ms` (-1: without end), which a signal ends even when it came just before. */
int interrupt_poll(struct pollfd *descriptor, int timeout_ms);

#endif
