/* key_file.h - load files of keys and secrets, one per line, and parse keys. */
#ifndef PRESENCE_KEY_FILE_H
#define PRESENCE_KEY_FILE_H

#include <stdint.h>

#define KEY_SIZE              16 /* bytes */
#define KEY_ID_MAX            255
#define KEY_FILE_PROBLEM_SIZE 832 /* bytes of the longest line that says what is wrong */

/* A key that datagrams are signed with. */
struct key {
    uint8_t id; /* 1 to 255; 0: no key */
    uint8_t bytes[KEY_SIZE];
};

/* Parse an id from 1 to 255 in decimal and 32 hex digits, with `separator` between them; ' ' stands
 * for one or more spaces and tabs. Blanks and a # comment may follow. Errors: -EINVAL. */
int key_parse(const char *text, char separator, struct key *ret);

/* A file that is loaded as a whole. One thread at a time. */
struct key_file {
    char *text, *rest;
    unsigned line; /* number of the last line that key_file_line has returned */
};

/* Load a file, which is regular, shorter than 64 KiB, and belongs to root or to our own user. Its
 * mode is 0600 or less, or 0640 or less with the group `presence`. Close it with key_file_close. On
 * failure `*ret_problem` says in words what is wrong, never what a key is; it is valid until the
 * next call. Errors: -EPERM owner or mode; -EINVAL no regular file; -EFBIG; -EBADMSG a zero byte;
 * -ENOMEM; those of open and read. The first call looks up the group, which a confined process
 * can't. One thread at a time. */
int key_file_open(const char *path, struct key_file *ret, const char **ret_problem);

/* Find the next line that is neither blank nor a # comment and return it, without blanks before it
 * and its end; NULL after the last. The caller may change it; it is valid until the file is
 * closed. */
char *key_file_line(struct key_file *file);

/* Overwrite and free the text. */
void key_file_close(struct key_file *file);

/* Receive one key of a file. */
typedef void (*key_add)(void *context, const struct key *key);

/* Load a file of keys, a line `ID HEX32` each (key_parse with ' '): at least one, and no id twice.
 * Calls `add` for each key in their order; a later line may still turn out to be wrong. On failure
 * `ret_problem` says in one line what is wrong and where, never what a key is. Errors: -EBADMSG a
 * line is wrong, or there is no key; those of key_file_open. One thread at a time. */
int key_file_load(const char *path, key_add add, void *context,
                  char ret_problem[KEY_FILE_PROBLEM_SIZE]);

/* Load such a file and return its first key, for a program that signs. Errors: likewise. */
int key_file_load_first(const char *path, struct key *ret, char ret_problem[KEY_FILE_PROBLEM_SIZE]);

#endif
