/* summary.h - the whole account in one line of the log. */
#ifndef PRESENCE_RELAY_SUMMARY_H
#define PRESENCE_RELAY_SUMMARY_H

#include "accounts.h"

/* Format the line, allocated. NULL: out of memory. */
char *summary_format(const struct accounts_view *view);

/* Log it. Once what was queued is sent, by the main thread, no worker running. */
void summary_log(const struct accounts *accounts);

#endif
