#include "json_whole.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool is_short; /* of memory, since the last text */

static void *allocate(size_t size)
{
    void *memory = malloc(size);

    if (!memory)
        is_short = true;
    return memory;
}

void json_whole_begin(void)
{
    json_set_alloc_funcs(allocate, free);
}

void json_whole_fail(int error)
{
    is_short |= error == -ENOMEM;
}

char *json_whole_text(json_t *object, size_t flags)
{
    char *text = json_dumps(object, flags);

    json_decref(object);
    if (is_short) {
        free(text);
        text = NULL;
    }
    is_short = false;
    return text;
}
