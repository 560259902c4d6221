/* engine_link.h - a connection to Redis or Valkey: plain, over a unix socket, to the master that
 * Sentinels name, or to the node of a cluster that has the keys. Connects by itself when it is
 * used, and again after a failure. Never blocks past a deadline, also not to look up a name; never
 * raises SIGPIPE. One thread at a time.
 *
 * What the engine says is hostile: replies are limited in size and depth, and error texts are
 * escaped.
 */
#ifndef PRESENCE_ENGINE_LINK_H
#define PRESENCE_ENGINE_LINK_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine_options.h"
#include "engine_request.h"

#define ENGINE_PROBLEM_SIZE 512
#define ENGINE_PATIENCE_MS  2000 /* nobody waits for the engine any longer */

struct engine_link;

/* Check the URL, read the password file, and allocate; nothing is connected yet, and no thread was
 * started. A program that confines itself (privileges_drop_for_engine) calls it before. Release
 * `*ret` with engine_link_close. On failure `ret_problem` says what is wrong and what to do.
 * Errors: -EINVAL the URL, or a user without a password; those of reading the file; -ENOMEM. */
int engine_link_open(const struct engine_options *options, struct engine_link **ret,
                     char ret_problem[ENGINE_PROBLEM_SIZE]);
void engine_link_close(struct engine_link *link); /* NULL is fine */

/* Read the password file again, if there is one, and close the connection, so that the next call
 * makes a new one. On failure everything stays as it is. Errors: those of reading the file;
 * -ENOMEM. */
int engine_link_reload(struct engine_link *link, char ret_problem[ENGINE_PROBLEM_SIZE]);

/* Start the thread that looks up names, which otherwise starts when a name is looked up first: for
 * a program that may start no threads later. It inherits what the caller is confined to. Errors:
 * those of pthread_create. */
int engine_link_prepare(struct engine_link *link);

/* Send a request's commands, connecting first if need be, and receive all replies before
 * `deadline_ns` (monotonic_ns). `*ret`, an array of one reply for each command in their order, is
 * to be released with engine_replies_free. Replies may be errors, which is for the caller to judge;
 * an error by which the engine says that this is the wrong node (MOVED, READONLY, CLUSTERDOWN,
 * LOADING, MASTERDOWN, NOAUTH) ends the call. One MOVED is followed within the call, unless the
 * request needs the `same_connection`: then it leads the next call to the right node.
 *
 * After any failure the connection is closed: nobody knows which of the commands were carried out.
 * Errors: -ETIMEDOUT; -ECONNREFUSED and others of connecting; -ECONNRESET; -EHOSTUNREACH the name
 * can't be looked up, or no Sentinel names a master; -EACCES a wrong password or user, or a command
 * that the user may not use; -EROFS this is a replica, and none may be written; -EAGAIN the engine
 * is loading, or the cluster is down or moves the keys; -EPROTO no such protocol; -EMSGSIZE too
 * much; -ENOMEM. */
int engine_link_call(struct engine_link *link, const struct engine_request *request,
                     int64_t deadline_ns, redisReply ***ret);
void engine_replies_free(redisReply **replies, size_t count);

/* Return the number of connections so far: what was written in an earlier one may be gone. */
uint64_t engine_link_connections(const struct engine_link *link);

/* Close the connection, so that the next call makes a new one, and asks Sentinels again. */
void engine_link_reset(struct engine_link *link);

/* Say in a phrase why the last call failed and what to do, for "cannot use the engine URL: TEXT".
 * Valid until the next call. */
const char *engine_link_problem(const struct engine_link *link);

/* Return whom the link talks to, "127.0.0.1:6379" or a path; "" before. Valid until the next call.
 */
const char *engine_link_peer(const struct engine_link *link);

/* Make a phrase of an error reply, escaped, with what to do where it is known (OOM, NOPERM, ...).
 */
void engine_reply_problem(const redisReply *reply, char ret[ENGINE_PROBLEM_SIZE]);

#endif
