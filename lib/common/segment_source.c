#include "common/segment_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http_log.h"

const char *segment_source_path(const char *path)
{
    if (!path)
        path = getenv("PRESENCE_SEGMENT");
    return path && *path ? path : PRESENCE_DEFAULT_SEGMENT;
}

void segment_source_init(struct segment_source *source, const char *path)
{
    *source = (struct segment_source){.path = path};
}

static const char *describe(int error)
{
    switch (error) {
    case -ENOENT:
        return "there is none: start presenced, or name its segment with --segment";
    case -EACCES:
        return "permission denied: run as the collector's user or one of its group";
    case -EBADMSG:
        return "no presence segment, or damaged: check --segment, or restart presenced";
    case -EPROTO:
        return "written by a newer presenced: update this program";
    case -ESTALE:
        return "written before this boot: start presenced, which replaces it";
    default:
        return strerror(-error);
    }
}

static void note(struct segment_source *source, int error)
{
    if (error == source->error)
        return;
    if (error)
        http_log("cannot read the segment %s: %s", source->path, describe(error));
    else
        http_log("reading the segment %s again", source->path);
    source->error = error;
}

int segment_source_get(struct segment_source *source, struct presence **ret)
{
    int r = source->presence ? 0 : presence_open(source->path, &source->presence);

    note(source, r);
    if (r == 0)
        *ret = source->presence;
    return r;
}

void segment_source_failed(struct segment_source *source, int error)
{
    if (error != -EBADMSG)
        return;
    note(source, error);
    segment_source_close(source);
}

void segment_source_close(struct segment_source *source)
{
    presence_close(source->presence);
    source->presence = NULL;
}
