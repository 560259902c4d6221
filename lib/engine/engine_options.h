/* engine_options.h - the options --engine, --user and --password-file, which are the same wherever
 * a program uses Redis or Valkey. All functions: one thread, at the program's start. */
#ifndef PRESENCE_ENGINE_OPTIONS_H
#define PRESENCE_ENGINE_OPTIONS_H

#include <stdbool.h>

#include "common/options.h"

/* Zeroed: no engine. The strings belong to whoever parsed the options. */
struct engine_options {
    char *url; /* redis://HOST[:PORT][,...], unix:PATH, redis-sentinel://HOST[:PORT][,...]/MASTER */
    char *user;          /* NULL: the default one */
    char *password_file; /* NULL: no password. Its first line is the password */
};

/* The entries of all three, of a struct engine_options `member` of the struct `of`. What follows is
 * said of each of them, such as `.commands = ...`. Call engine_options_check afterwards. */
/* clang-format off */
#define OPTION_ENGINE(of, member, ...)                                                            \
    {"engine", OPTION_TEXT(of, member.url), .argument = "URL",                                    \
     .expected = "redis://HOST[:PORT], unix:PATH or redis-sentinel://HOST[:PORT]/MASTER",         \
     .help = "the Redis or Valkey with the counts of many collectors, as in redis://HOST",        \
     .details = ENGINE_URL_DETAILS, .example = "redis://localhost", ##__VA_ARGS__},               \
    {"user", OPTION_TEXT(of, member.user), .argument = "NAME",                                    \
     .help = "a user of the engine, if not the default one", .example = "presence", ##__VA_ARGS__},\
    {"password-file", OPTION_TEXT(of, member.password_file), .argument = "FILE",                  \
     .help = "the user's password, the file's first line",                                        \
     .details = ENGINE_PASSWORD_DETAILS, .example = "/etc/presence/engine.password", ##__VA_ARGS__}
/* clang-format on */

#define ENGINE_URL_DETAILS                                                                         \
    "redis://HOST[:PORT] is a server, port 6379 by default; further ones behind commas are nodes " \
    "of the same cluster, or take its place if it can't be used. unix:PATH is a server's socket. " \
    "redis-sentinel://HOST[:PORT][,HOST[:PORT]...]/MASTER asks Sentinels, port 26379 by default, " \
    "for the master that they call MASTER. IPv6 addresses stand in brackets."
#define ENGINE_PASSWORD_DETAILS                                                              \
    "It belongs to root or to the program's user, and nobody else may read it: its mode is " \
    "0600, or 0640 with the group presence. It is read at the start."

/* Print one line and return false if the URL is wrong, if a user or a password is given without an
 * engine, a user without a password, or --engine together with --segment (unless `segment_too`: the
 * program needs both). */
bool engine_options_check(const struct engine_options *options, const struct option_use *use,
                          bool segment_too);

#endif
