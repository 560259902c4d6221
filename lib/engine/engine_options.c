#include "engine_options.h"

#include "engine_address.h"

bool engine_options_check(const struct engine_options *options, const struct option_use *use,
                          bool segment_too)
{
    char problem[ENGINE_URL_PROBLEM_SIZE];
    struct engine_address address;
    const char *alone = options->user ? "user" : "password-file";

    if (!options->url) {
        if (!options->user && !options->password_file)
            return true;
        return option_wrong(alone, "needs --engine, too") == OPTION_RUN;
    }
    if (engine_address_parse(options->url, &address, problem) < 0)
        return option_wrong("engine", "wrong URL: %s", problem) == OPTION_RUN;
    if (options->user && !options->password_file)
        return option_wrong("user", "needs --password-file, too") == OPTION_RUN;
    if (!segment_too && option_given(use, "segment"))
        return option_wrong("engine", "can't be used together with --segment: counts come from one "
                                      "of them") == OPTION_RUN;
    return true;
}
