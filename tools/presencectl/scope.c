#include "scope.h"

#include <stdio.h>
#include <time.h>

#include "common/place.h"

bool argument_site(char *text)
{
    if (place_parse_site(text, text))
        return true;
    report("SITE must be 1 to %d bytes of UTF-8 without control characters", PLACE_SITE_MAX);
    return false;
}

/* Parse the label of a scope in place, if it is given. `option`: its name in messages. */
static bool parse_label(char *text, enum presence_kind kind, const char *option,
                        struct scope *scope)
{
    bool is_room = kind == PRESENCE_ROOM;

    if (!text)
        return true;
    if (scope->name) {
        report("only one of ROOM, --country and --source can be given");
        return false;
    }
    if (kind != PRESENCE_COUNTRY &&
        !(is_room ? place_parse_room(text, text) : place_parse_source(text, text))) {
        report("%s must be 1 to %d bytes of UTF-8 without control characters", option,
               is_room ? PLACE_ROOM_MAX : PLACE_SOURCE_MAX);
        return false;
    }
    scope->kind = kind;
    scope->name = text;
    return true;
}

bool scope_parse(const struct options *options, char **arguments, struct scope *ret)
{
    struct scope scope = {.kind = PRESENCE_SITE, .site = arguments[0]};

    if (!argument_site(arguments[0]) || !parse_label(arguments[1], PRESENCE_ROOM, "ROOM", &scope) ||
        !parse_label(options->country, PRESENCE_COUNTRY, "--country", &scope) ||
        !parse_label(options->source, PRESENCE_SOURCE, "--source", &scope))
        return false;
    *ret = scope;
    return true;
}

int scope_load(struct presence *presence, const struct scope *scope, uint32_t window_s,
               struct presence_reading *ret)
{
    if (presence)
        return presence_count_scope(presence, scope->kind, scope->site, scope->name, window_s, ret);
    *ret = (struct presence_reading){
        .window_s = PRESENCE_DEFAULT_WINDOW, .stale = true, .as_of = time(NULL)};
    return 0;
}

struct scope_text scope_describe(const struct scope *scope)
{
    struct scope_text ret;

    if (scope->kind == PRESENCE_SITE)
        snprintf(ret.text, sizeof(ret.text), "%s", show_name(scope->site).text);
    else if (scope->kind == PRESENCE_ROOM)
        snprintf(ret.text, sizeof(ret.text), "%s on %s", show_name(scope->name).text,
                 show_name(scope->site).text);
    else
        snprintf(ret.text, sizeof(ret.text), "%s %s of %s", kind_name(scope->kind),
                 show_name(scope->name).text, show_name(scope->site).text);
    return ret;
}

const char *scope_label(const struct scope *scope, enum presence_kind kind)
{
    return scope->kind == kind ? scope->name : NULL;
}

void json_set_scope(json_t *object, const struct scope *scope)
{
    const char *room = scope_label(scope, PRESENCE_ROOM);

    json_object_set_new(object, "site", json_string(scope->site));
    json_object_set_new(object, "room", room ? json_string(room) : json_null());
    if (scope->kind == PRESENCE_COUNTRY || scope->kind == PRESENCE_SOURCE)
        json_object_set_new(object, kind_name(scope->kind), json_string(scope->name));
}
