#include "landlock.h"

#include "common/confine.h"

int landlock_confine(const char *segment)
{
    const int above = confine_open_above(segment);

    return confine_files(CONFINE_WRITE, CONFINE_WRITE, &above, 1);
}
