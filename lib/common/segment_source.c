#include "segment_source.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "permission.h"

void segment_source_init(struct segment_source *source, const char *path)
{
    *source = (struct segment_source){.path = path};
}

const char *segment_error_text(int error, const char *path, char ret[SEGMENT_ERROR_SIZE])
{
    static const char distrust[] = "not trusted: ";

    switch (error) {
    case -ENOENT:
        return "no such file: start presenced, or name its segment with --segment";
    case -EACCES:
        permission_explain(path, ret);
        return ret;
    case -EBADMSG:
        return "not a presence segment of this version, or damaged: check --segment, or restart "
               "presenced";
    case -EPROTO:
        return "written by a newer presenced: update this program";
    case -ESTALE:
        return "written before this boot: start presenced, which replaces it";
    case -EPERM:
        strcpy(ret, distrust);
        presence_explain_distrust(path, ret + strlen(distrust), PRESENCE_DISTRUST_SIZE);
        return ret;
    default:
        return strerror(-error);
    }
}

static void log_change(struct segment_source *source, int error)
{
    char text[SEGMENT_ERROR_SIZE];

    if (error == source->error)
        return;
    if (error)
        log_line("cannot read the segment %s: %s", source->path,
                 segment_error_text(error, source->path, text));
    else
        log_line("reading the segment %s again", source->path);
    source->error = error;
}

int segment_source_get(struct segment_source *source, struct presence **ret)
{
    int r = source->presence ? 0 : presence_open(source->path, &source->presence);

    log_change(source, r);
    if (r == 0)
        *ret = source->presence;
    return r;
}

void segment_source_failed(struct segment_source *source, int error)
{
    if (error != -EBADMSG)
        return;
    log_change(source, error);
    segment_source_close(source);
}

void segment_source_close(struct segment_source *source)
{
    presence_close(source->presence);
    source->presence = NULL;
}
