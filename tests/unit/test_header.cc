// test_header.cc - presence.h compiles, links and works from C++.
#include <cerrno>
#include <cstdio>

#include <presence/presence.h>

int main()
{
    presence *handle = nullptr;
    presence_reading reading = presence_reading();
    presence_place place = presence_place();
    int r = presence_open("/dev/null", &handle);

    place.kind = PRESENCE_HEARTBEAT;
    if (r != -EBADMSG || handle != nullptr || reading.count != 0 || place.site != nullptr) {
        std::fprintf(stderr, "presence_open(/dev/null): %d, not %d\n", r, -EBADMSG);
        return 1;
    }
    presence_close(handle);
    return 0;
}
