/* negotiate.h - choose between the formats, and compression, by what a client accepts. */
#ifndef PRESENCE_NEGOTIATE_H
#define PRESENCE_NEGOTIATE_H

#include <stdbool.h>

enum format {
    FORMAT_TEXT,        /* Prometheus' text format 0.0.4 */
    FORMAT_OPENMETRICS, /* OpenMetrics 1.0.0 */
};

/* Choose the format by the value of an Accept header (RFC 9110, 12.5.1), or NULL: OpenMetrics if it
 * is named with at least the quality of plain text; otherwise text, even if neither is accepted. */
enum format negotiate(const char *accept);

/* True if the value of an Accept-Encoding header (RFC 9110, 12.5.3) accepts gzip and does not
 * prefer the text as it is. NULL, no such header: false. */
bool negotiate_gzip(const char *accept_encoding);

/* Return the Content-Type of a format. */
const char *format_type(enum format format);

#endif
