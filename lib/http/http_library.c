#include "http_library.h"

#include <stdbool.h>
#include <string.h>

#include "common/log.h"

/* True if the message is about a client's mistake or end: strangers could fill the log with those.
 */
static bool is_about_client(const char *message)
{
    static const char *const beginnings[] = {
        "Connection ",
        "Error processing request",
        "Error: received handshake message out of context",
        "Received ",
        "Failed to parse ",
        "Too large value",
        "Failed to receive",
        "Failed to send",
        "Closing connection",
        "Socket has been disconnected",
        "Not enough memory in ",
        "Too late to send",
        /* since 1.0 */
        "Bare CR ",
        "Bare LF ",
        "Failed to allocate memory in the connection",
        "Failed to push the data",
        "Invalid character is in the request",
        "No space left in the read buffer",
        "One ",
        "The 'Content-Length' request header",
        "The Cookie header ",
        "The NUL character is in the request",
        "The URL encoding ",
        "The request ",
        "Too many meaningless extra empty lines",
        "Whitespace-prefixed first header line",
    };

    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        if (strncmp(message, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    }
    return false;
}

void http_library_log(void *context, const char *format, va_list arguments)
{
    const char *message = format;
    va_list copy;

    (void)context;
    va_copy(copy, arguments);
    /* The library formats messages about a connection that it closes like this. */
    if (strncmp(format, "%s", 2) == 0)
        message = va_arg(copy, const char *);
    va_end(copy);
    if (!is_about_client(message))
        log_arguments(format, arguments);
}
