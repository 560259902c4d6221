/* segment_name.h - restore the name of a running collector's segment.
 *
 * The file may be deleted (by a cleaner of temporary files, or systemd's RemoveIPC), renamed or
 * replaced, or its directory deleted. Readers would find nothing, or a file that nobody writes.
 */
#ifndef PRESENCED_SEGMENT_NAME_H
#define PRESENCED_SEGMENT_NAME_H

#include "collector.h"

/* Check that the path still names the segment, and restore it if not: by a link while the file has
 * another name, otherwise by a copy that replaces it between two batches. Logs what it does, and
 * why it can't. Before that, go on turning small pages into huge ones for about 50 ms: a copy
 * starts with small ones. Once a second, by the maintenance thread. */
void segment_name_check(struct collector *collector, const char *path);

#endif
