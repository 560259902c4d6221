/* time_namespace.h - how far this process's CLOCK_BOOTTIME is ahead of the machine's
 * (time namespaces). The collector records it beside its ticks; readers subtract both offsets,
 * so that they agree on a tick's age whatever namespaces they are in. All functions: any thread. */
#ifndef PRESENCE_TIME_NAMESPACE_H
#define PRESENCE_TIME_NAMESPACE_H

#include <stdint.h>
#include <time.h>

#define TIME_NAMESPACE_OFFSET_MAX (INT64_C(1) << 34) /* seconds; the kernel allows less */

/* Read the offset, its nanoseconds from 0 to 999999999; zero where there are no time namespaces, or
 * no /proc. */
struct timespec time_namespace_offset(void);

/* Read the offset in whole seconds, rounded up: a tick then never looks younger than it is. */
int64_t time_namespace_offset_s(void);

#endif
