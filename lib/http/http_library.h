/* http_library.h - log what libmicrohttpd says, for http_server.c. */
#ifndef PRESENCE_HTTP_LIBRARY_H
#define PRESENCE_HTTP_LIBRARY_H

#include <stdarg.h>

/* Log a message of libmicrohttpd's, unless it is about a client. Any thread. */
void http_library_log(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

#endif
