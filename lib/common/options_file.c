#include <errno.h>
#include <ini.h>
#include <sys/stat.h>

#include "options.h"

struct reading {
    bool (*line)(void *context, const char *name, const char *value);
    void *context;
    bool stopped;
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

int options_read_file(const char *path,
                      bool (*line)(void *context, const char *name, const char *value),
                      void *context)
{
    struct reading reading = {.line = line, .context = context};
    struct stat status;

    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR; /* inih would see an empty file */
    int r = ini_parse(path, handle_line, &reading);
    if (reading.stopped)
        return -ECANCELED;
    return r == -1 ? -errno : r == -2 ? -ENOMEM : r;
}
