/* options_value.h - the values of options: read, checked, and what is wrong said in one line. */
#ifndef PRESENCE_SEND_OPTIONS_VALUE_H
#define PRESENCE_SEND_OPTIONS_VALUE_H

#include <stdbool.h>
#include <stdint.h>

/* Each reads `text`, the value of --`option`, into `*ret` and returns true; or says on stderr what
 * is allowed, and returns false with `*ret` untouched. */

/* A whole number from `least` to `most`. */
bool value_whole(const char *option, const char *text, uint64_t least, uint64_t most,
                 uint64_t *ret);
bool value_whole32(const char *option, const char *text, uint32_t least, uint32_t most,
                   uint32_t *ret);

/* A decimal number from `least` to `most`. */
bool value_decimal(const char *option, const char *text, double least, double most, double *ret);

/* The name of a site, room, source or event: 1 to `longest` bytes of UTF-8. */
bool value_name(const char *option, const char *text, uint32_t longest, const char **ret);

bool value_country(const char *option, const char *text, const char **ret);
bool value_visitor(const char *option, const char *text, const char **ret);
bool value_kind(const char *option, const char *text, int *ret);
bool value_address(const char *option, const char *text, const char **ret);

/* A key, ID:HEX32. It is read into its parts, and its digits are overwritten: /proc shows a command
 * line to everybody. */
bool value_key(const char *option, char *text, uint8_t *ret_id, uint8_t ret_key[16]);

/* Say that --`option` is wrong; returns false. */
__attribute__((format(printf, 2, 3))) bool value_wrong(const char *option, const char *reason, ...);

#endif
