/* engine_options.h - the options --engine, --user and --password-file, which are the same wherever
 * a program uses Redis or Valkey. */
#ifndef PRESENCE_ENGINE_OPTIONS_H
#define PRESENCE_ENGINE_OPTIONS_H

/* Zeroed: no engine. The strings belong to whoever parsed the options. */
struct engine_options {
    char *url; /* redis://HOST[:PORT][,...], unix:PATH, redis-sentinel://HOST[:PORT][,...]/MASTER */
    char *user;          /* NULL: the default one */
    char *password_file; /* NULL: no password. Its first line is the password */
};

#endif
