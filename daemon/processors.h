/* processors.h - the highest number of a processor. */
#ifndef PRESENCED_PROCESSORS_H
#define PRESENCED_PROCESSORS_H

/* A file of the kernel; tests have others. */
extern const char *processors_path;

/* Parse a list of the kernel's, such as "0-3,8-11" and a line feed, and return one more than its
 * highest number; 0 if it is no list. */
unsigned processors_in(const char *list);

/* Return one more than the highest number that a processor of this machine can have, which may be
 * more than it has processors. Errors: -EBADMSG it can't be read as
 * a list; those of open(2). */
int processors_possible(void);

#endif
