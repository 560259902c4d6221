/* options_value.h - set the value of one option, for options.c. */
#ifndef PRESENCE_OPTIONS_VALUE_H
#define PRESENCE_OPTIONS_VALUE_H

#include "options.h"

/* Parse a value into the target. Errors: -EINVAL the entry does not take it; -ENOSPC there are as
 * many as the entry allows; -ENOMEM; those of `parse`. */
int option_set(const struct option_entry *entry, void *target, const char *text);

/* Format what the entry takes, as in "--x takes EXPECTED". */
void option_expected(const struct option_entry *entry, char *ret, size_t size);

#endif
