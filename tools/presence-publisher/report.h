/* report.h - say what becomes of publishing, each thing once. One thread at a time. */
#ifndef PRESENCE_PUBLISHER_REPORT_H
#define PRESENCE_PUBLISHER_REPORT_H

#include "publisher.h"

/* Log the problem of the transaction, unless it is the one that was logged last; `what` opens it.
 */
void report_trouble(struct publisher *publisher, const char *what);

/* Log that it publishes, unless it did so before. */
void report_success(struct publisher *publisher);

/* Log that others were told another number of shards. */
void report_registered(struct publisher *publisher);

/* Log that what was written is gone, or may be; once, if that happens over and over. */
void report_loss(struct publisher *publisher);

/* Log that the engine has removed keys. */
void report_eviction(struct publisher *publisher);

#endif
