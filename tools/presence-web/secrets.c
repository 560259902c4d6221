#include "secrets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void secrets_free(struct secrets *secrets)
{
    for (size_t i = 0; i < secrets->count; i++)
        wipe(secrets->items[i]);
    *secrets = (struct secrets){0};
}

static int add(struct secrets *secrets, const char *line, size_t least)
{
    size_t length = strlen(line);

    if (secrets->count == SECRETS_MAX || length < least || length > SECRETS_MAX_BYTES)
        return -EMSGSIZE;
    char *copy = strdup(line);
    if (!copy)
        return -ENOMEM;
    secrets->items[secrets->count++] = copy;
    return 0;
}

static int add_lines(struct key_file *file, size_t least, struct secrets *secrets,
                     const char **ret_problem)
{
    int r = 0;

    for (const char *line; r == 0 && (line = key_file_line(file)) != NULL;)
        r = add(secrets, line, least);
    if (r == -EMSGSIZE)
        *ret_problem = "a key is too short or too long, or there are too many";
    else if (r < 0)
        *ret_problem = "out of memory";
    if (r == 0 && secrets->count == 0) {
        *ret_problem = "there is no key in it";
        r = -ENOKEY;
    }
    return r;
}

int secrets_load(const char *path, size_t least, struct secrets *ret, const char **ret_problem)
{
    struct secrets secrets = {0};
    struct key_file file;
    int r = key_file_open(path, &file, ret_problem);

    if (r < 0)
        return r;
    r = add_lines(&file, least, &secrets, ret_problem);
    key_file_close(&file);
    if (r < 0)
        secrets_free(&secrets);
    else
        *ret = secrets;
    return r;
}

static bool equals(const char *secret, const char *text, size_t length)
{
    volatile unsigned char differs = strlen(secret) != length;

    for (size_t i = 0; i < length && secret[i]; i++)
        differs |= (unsigned char)(secret[i] ^ text[i]);
    return !differs;
}

bool secrets_have(const struct secrets *secrets, const char *text)
{
    size_t length = strlen(text);
    bool found = false;

    for (size_t i = 0; i < secrets->count; i++)
        found |= equals(secrets->items[i], text, length);
    return found;
}
