/* boot_id.h - read the kernel's random id of this boot, by which a segment of an older boot is
 * recognized. */
#ifndef PRESENCE_BOOT_ID_H
#define PRESENCE_BOOT_ID_H

#include <stdint.h>

/* Read the id's 16 bytes. Any thread. Errors: those of open(2); -EIO it is no UUID. */
int boot_id_read(uint8_t ret[16]);

#endif
