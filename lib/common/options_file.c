#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "options.h"

struct reading {
    const char *path;
    FILE *file;
    bool (*line)(void *context, const char *name, const char *value);
    void *context;
    unsigned lines; /* that were read */
    bool stopped;   /* one line was printed */
};

/* inih's callback: 1 goes on. After `line` has refused one, the others are skipped. */
static int handle_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;

    (void)section;
    if (!reading->stopped)
        reading->stopped = !reading->line(reading->context, name, value);
    return 1;
}

/* inih's reader. inih takes the rest of a line that is too long for its buffer for the next one,
 * and a zero byte for the line's end; a device may give those for ever. */
static char *read_line(char *text, int size, void *user)
{
    struct reading *reading = user;
    int length = 0, byte = 0;

    if (reading->stopped)
        return NULL;
    reading->lines++;
    while ((byte = getc(reading->file)) > 0 && length + 1 < size) {
        text[length++] = (char)byte;
        if (byte == '\n')
            break;
    }
    text[length] = '\0';
    if (byte == '\n' || byte == EOF)
        return length ? text : NULL;
    if (byte == 0)
        log_error("%s:%u: has a zero byte: it is no text file", reading->path, reading->lines);
    else
        log_error(
            "%s:%u: longer than %d bytes: a list of values may go on in the next line, behind "
            "a space",
            reading->path, reading->lines, length);
    reading->stopped = true;
    return NULL;
}

int options_read_file(const char *path,
                      bool (*line)(void *context, const char *name, const char *value),
                      void *context)
{
    struct reading reading = {.path = path, .line = line, .context = context};
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR; /* reading would find an empty file */
    reading.file = fopen(path, "re");
    if (!reading.file)
        return -errno;
    int r = ini_parse_stream(read_line, &reading, handle_line, &reading);
    int error = ferror(reading.file) ? -EIO : 0;
    fclose(reading.file);
    if (reading.stopped)
        return -ECANCELED;
    return error ? error : r == -2 ? -ENOMEM : r;
}
