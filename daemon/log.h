/* log.h - one line to stderr for what an operator should know. */
#ifndef PRESENCED_LOG_H
#define PRESENCED_LOG_H

/* Print "presenced: MESSAGE". Any thread; a line is written in one piece. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
