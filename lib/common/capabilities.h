/* capabilities.h - drop all capabilities. Links with libcap-ng. */
#ifndef PRESENCE_CAPABILITIES_H
#define PRESENCE_CAPABILITIES_H

/* Give up all capabilities of this thread, and of those it starts, for good. Programs that it
 * executes gain none either (no_new_privs). Errors: -EPERM; those of prctl(2). */
int capabilities_drop(void);

#endif
