/* metrics.h - the accounts as metric families. */
#ifndef PRESENCE_RELAY_METRICS_H
#define PRESENCE_RELAY_METRICS_H

#include "accounts.h"
#include "http/exposition.h"

/* Write the whole exposition. Errors of writing are left in exposition->out. */
void metrics_write(struct exposition *exposition, const struct accounts_view *view);

#endif
