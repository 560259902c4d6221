/* capture.h - take what a test's code prints to a standard stream. */
#ifndef PRESENCE_TESTS_CAPTURE_H
#define PRESENCE_TESTS_CAPTURE_H

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit.h"

/* Let a standard stream go to a file in memory, which is returned, until restore. */
static inline int divert(FILE *stream, int *ret_before)
{
    int capture = memfd_create("capture", MFD_CLOEXEC);

    assert_true(capture >= 0);
    fflush(stream);
    *ret_before = dup(fileno(stream));
    dup2(capture, fileno(stream));
    return capture;
}

/* Let the stream go where it went before, and copy what was printed meanwhile. */
static inline void restore(FILE *stream, int before, int capture, char *text, size_t capacity)
{
    fflush(stream);
    dup2(before, fileno(stream));
    close(before);
    ssize_t length = pread(capture, text, capacity - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    close(capture);
}

#endif
