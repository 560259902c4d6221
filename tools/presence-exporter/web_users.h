/* web_users.h - check names and passwords (RFC 7617) against bcrypt hashes. That is slow on
 * purpose: a thread of its own does it, and answers are remembered. All functions: the server's
 * thread. */
#ifndef PRESENCE_EXPORTER_WEB_USERS_H
#define PRESENCE_EXPORTER_WEB_USERS_H

#include "http/http_server.h"
#include "web_config.h"

struct web_users;

enum web_verdict {
    WEB_WELCOME,
    WEB_REFUSED,
    WEB_BUSY,  /* too many checks wait, of this client or of all */
    WEB_LATER, /* the request is suspended; it is handled again when the answer is known */
};

/* Start the thread; web_users_end ends it. NULL: out of memory or threads. */
struct web_users *web_users_new(void);

/* Set the users, whose names and hashes are copied, and forget the answers but the right passwords
 * of those who stay as they are, or none if all do. False: out of memory, and nothing has changed.
 */
bool web_users_set(struct web_users *users, const struct web_config *config);

/* Judge the request's Authorization header; anybody is welcome where there are no users. Uses
 * `data` and `release` of the request until it has answered. */
enum web_verdict web_users_judge(struct web_users *users, struct http_request *request);

/* Refuse all who wait, and resume them. Called before the server is stopped. */
void web_users_end(struct web_users *users);

/* Free them, when no request has a check any more. NULL is ignored. */
void web_users_free(struct web_users *users);

#endif
