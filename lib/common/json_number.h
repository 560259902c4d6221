/* json_number.h - integers in JSON, the same in all programs. */
#ifndef PRESENCE_JSON_NUMBER_H
#define PRESENCE_JSON_NUMBER_H

#include <jansson.h>
#include <stdint.h>

/* Build an integer; for a number above the largest of Jansson's, which an engine or a segment may
 * hold, that largest one. Any thread. */
static inline json_t *json_of_number(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

#endif
