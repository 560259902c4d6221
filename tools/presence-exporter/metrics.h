/* metrics.h - a snapshot as metric families. */
#ifndef PRESENCE_EXPORTER_METRICS_H
#define PRESENCE_EXPORTER_METRICS_H

#include "http/exposition.h"
#include "snapshot.h"

/* Write the whole exposition. Errors of writing are left in exposition->out. */
void metrics_write(struct exposition *exposition, const struct snapshot *snapshot);

#endif
