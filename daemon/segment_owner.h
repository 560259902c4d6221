/* segment_owner.h - give the segment's directory, and a segment in it, to the user that the daemon
 * runs as. */
#ifndef PRESENCED_SEGMENT_OWNER_H
#define PRESENCED_SEGMENT_OWNER_H

/* As root: make the directory of the segment if it is missing, move a stranger's file aside (as in
 * segment_path.h), and make `user` and its group the owners of what belongs to root: of a directory
 * that is on a tmpfs and closed to others, and of a segment. What is given loses its access control
 * lists. Anything else is left alone, and all of it while a collector holds the segment. Logs what
 * was given and what failed. One thread. Errors: -EPERM we are not root; -ENOENT there is no such
 * user; those of segment_path_take, fremovexattr(2), fchmod(2) and fchown(2). */
int segment_owner_give(const char *segment, const char *user);

#endif
