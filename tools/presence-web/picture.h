/* picture.h - the number of a place as a picture, for pages without scripts and for READMEs. */
#ifndef PRESENCE_WEB_PICTURE_H
#define PRESENCE_WEB_PICTURE_H

#include "web.h"

/* Handlers of type http_handler. Fetching a picture counts nobody. */

/* Answer /badge.svg: the number as a picture. */
enum MHD_Result picture_handle(void *web, struct http_request *request);

/* Answer /badge.json: the number for those who draw the picture themselves, such as shields.io. */
enum MHD_Result picture_handle_json(void *web, struct http_request *request);

/* ---- text_layout.c -------------------------------------------------------------------------- */

/* Both take valid UTF-8 without control characters, and end at anything else. */

/* Estimate the width of a text in thousandths of its font's size: in the fonts of a picture,
 * without kerning and ligatures. */
uint32_t text_width(const char *text);

/* True if the first letter belongs to a script that is written from right to left. */
bool text_is_right_to_left(const char *text);

#endif
