#include "landlock.h"

#include "common/confine.h"

int landlock_open(const char *segment)
{
    return confine_open_above(segment);
}

int landlock_confine(int place)
{
    return confine_files(CONFINE_WRITE, CONFINE_WRITE, &place, 1);
}
