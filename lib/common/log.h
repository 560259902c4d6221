/* log.h - log lines on stderr. */
#ifndef PRESENCE_LOG_H
#define PRESENCE_LOG_H

#include <stdarg.h>

#define LOG_BURST 50 /* lines a second */

/* Print "PROGRAM: MESSAGE" to stderr as one line in one write. A byte of the message that is not
 * printable ASCII is shown as \xHH, since a stranger may have sent it; the message ends at its
 * first line feed. Strangers can also cause lines: those beyond LOG_BURST in a second are dropped,
 * and counted in the next line. Any thread. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_arguments(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Print the same, and never drop it: for what only the operator can cause. */
void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print a line of any length, and never drop it: for what is said once. Out of memory: prints
 * nothing. */
void log_text(const char *text);

#endif
