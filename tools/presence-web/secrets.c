#include "secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static int add(struct secrets *secrets, const char *line, size_t length, size_t least)
{
    if (secrets->count == SECRETS_MAX || length < least || length > SECRETS_MAX_BYTES ||
        strlen(line) != length)
        return -EMSGSIZE;
    char *copy = strdup(line);
    if (!copy)
        return -ENOMEM;
    secrets->items[secrets->count++] = copy;
    return 0;
}

static int read_lines(FILE *file, size_t least, struct secrets *secrets)
{
    char *line = NULL;
    size_t size = 0;
    int r = 0;

    for (ssize_t length; r == 0 && (length = getline(&line, &size, file)) >= 0;) {
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = '\0';
        if (length > 0 && line[0] != '#')
            r = add(secrets, line, (size_t)length, least);
    }
    if (r == 0 && ferror(file))
        r = -EIO;
    if (line)
        explicit_bzero(line, size);
    free(line);
    return r;
}

int secrets_read(const char *path, size_t least, struct secrets *ret)
{
    struct secrets secrets = {0};
    struct stat status;
    FILE *file = fopen(path, "re");

    if (!file)
        return -errno;
    int r = fstat(fileno(file), &status) < 0 ? -errno : 0;
    if (r == 0 && status.st_mode & S_IRWXO)
        r = -EPERM;
    if (r == 0)
        r = read_lines(file, least, &secrets);
    fclose(file);
    if (r == 0 && secrets.count == 0)
        r = -ENOKEY;
    if (r < 0) {
        secrets_free(&secrets);
        return r;
    }
    *ret = secrets;
    return 0;
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
