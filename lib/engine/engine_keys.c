#include "engine_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool engine_is_group(const char *text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(text);

    return length > 0 && length <= ENGINE_GROUP_MAX && strspn(text, allowed) == length;
}

void engine_key_shard(const char *group, uint32_t shard, char ret[ENGINE_KEY_MAX])
{
    snprintf(ret, ENGINE_KEY_MAX, "{presence}:%.*s:%" PRIu32, ENGINE_GROUP_MAX, group, shard);
}

void engine_key_owner(const char *group, uint32_t shard, char ret[ENGINE_KEY_MAX])
{
    snprintf(ret, ENGINE_KEY_MAX, "{presence}:%.*s:%" PRIu32 ":owner", ENGINE_GROUP_MAX, group,
             shard);
}

void engine_key_sites(const char *group, uint32_t shard, uint32_t window_s,
                      char ret[ENGINE_KEY_MAX])
{
    snprintf(ret, ENGINE_KEY_MAX, "{presence}:%.*s:%" PRIu32 ":%" PRIu32, ENGINE_GROUP_MAX, group,
             shard, window_s);
}

void engine_key_site(const char *group, uint32_t shard, uint32_t window_s, const char *site,
                     char ret[ENGINE_KEY_MAX])
{
    snprintf(ret, ENGINE_KEY_MAX, "{presence}:%.*s:%" PRIu32 ":%" PRIu32 ":%.*s", ENGINE_GROUP_MAX,
             group, shard, window_s, PLACE_SITE_MAX, site);
}

void engine_field(enum presence_kind kind, const char *site, const char *name,
                  char ret[ENGINE_FIELD_MAX])
{
    if (kind == PRESENCE_SITE)
        snprintf(ret, ENGINE_FIELD_MAX, "%s", site);
    else
        snprintf(ret, ENGINE_FIELD_MAX, "%c%s", ENGINE_LETTERS[kind], name);
}
