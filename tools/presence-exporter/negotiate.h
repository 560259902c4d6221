/* negotiate.h - which of the two formats a client wants. */
#ifndef PRESENCE_EXPORTER_NEGOTIATE_H
#define PRESENCE_EXPORTER_NEGOTIATE_H

enum format {
    FORMAT_TEXT,        /* Prometheus' text format 0.0.4 */
    FORMAT_OPENMETRICS, /* OpenMetrics 1.0.0 */
};

/* By the value of an Accept header (RFC 9110, 12.5.1); NULL: there is none. OpenMetrics where it is
 * named and liked at least as well as plain text; text for everybody else, even those who accept
 * neither. */
enum format negotiate(const char *accept);

/* The Content-Type of a format. */
const char *format_type(enum format format);

#endif
