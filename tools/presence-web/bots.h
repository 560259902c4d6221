/* bots.h - programs that fetch pages and are no visitors. */
#ifndef PRESENCE_WEB_BOTS_H
#define PRESENCE_WEB_BOTS_H

#include <stdbool.h>

/* Does a User-Agent (NULL: there is none) say of itself that it is a crawler, a previewer, a
 * monitor or a browser that nobody looks at? Any thread. */
bool bots_is_one(const char *user_agent);

#endif
