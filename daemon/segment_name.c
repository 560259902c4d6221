#include "segment_name.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "segment_map.h"
#include "segment_path.h"
#include "segment_room.h"

#define HUGE_PAGES_MS 50 /* of each second */

/* Continue in a copy: a file without a name can't be linked any more, and none to another file
 * system. */
static int replace_by_copy(struct collector *collector, const char *path)
{
    char reason[5000];
    uint64_t size = collector->file.segment.size;
    int r = collector_move(collector, path);

    if (r == 0) {
        log_line("the segment %s was deleted or moved away: counting goes on in a copy, and "
                 "nothing is lost",
                 path);
        return 0;
    }
    segment_room_explain(r, size, reason, sizeof(reason));
    segment_path_log(
        "the segment %s was deleted or moved away, and a copy of %.1f MB can't be made: %s; "
        "counting goes on where no reader finds it; trying again",
        path, (double)size / 1e6, *reason ? reason : strerror(-r));
    return r;
}

static int restore_name(struct collector *collector, const char *path)
{
    int r = segment_path_clear(path);

    if (r < 0)
        return r;
    r = segment_file_link(collector->file.descriptor, path);
    if (r == 0) {
        log_line("restored the name of the segment %s", path);
        return 0;
    }
    /* The file's last name is gone, or is on another file system. */
    if (r == -ENOENT || r == -EXDEV)
        return replace_by_copy(collector, path);
    segment_path_log("the segment %s has lost its name, and can't be given it again: %s; "
                     "counting goes on where no reader finds it",
                     path, strerror(-r));
    return r;
}

void segment_name_check(struct collector *collector, const char *path)
{
    /* Copies, and segments that a restart attached or moved, may have small pages. */
    segment_map_collapse(collector->file.segment.header, HUGE_PAGES_MS, &collector->file.huge_end);
    if (segment_file_is_at(collector->file.descriptor, path))
        return;
    if (restore_name(collector, path) == 0)
        segment_path_reset_log();
}
