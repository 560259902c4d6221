/* http_log.h - one line to stderr for what an operator should know. */
#ifndef PRESENCE_HTTP_LOG_H
#define PRESENCE_HTTP_LOG_H

#include <stdarg.h>

/* Print "PROGRAM: MESSAGE" as one line in one piece: bytes of the message that are not printable
 * ASCII are shown as \xHH, for it may repeat what a stranger sent, and a line feed at its end is
 * dropped. Strangers can cause lines, too: of more than HTTP_LOG_BURST a second the rest is left
 * out, and counted in the next line. Any thread. */
void http_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void http_log_arguments(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0)));

#define HTTP_LOG_BURST 20

#endif
