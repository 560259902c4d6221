/* processors.h - the numbers that processors have. */
#ifndef PRESENCED_PROCESSORS_H
#define PRESENCED_PROCESSORS_H

/* One more than the highest number in a list of the kernel's, such as "0-3,8-11" and a line feed;
 * 0 when it is none. */
unsigned processors_in(const char *list);

/* One more than the highest number that a processor of this machine can ever have: more than there
 * are, where numbers are left out. Errors: -EBADMSG; those of opening and reading. */
int processors_possible(void);

#endif
