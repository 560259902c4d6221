/* test_http_library.c - which of libmicrohttpd's messages are logged: none that strangers cause. */
#include "../support/capture.h"

#include "http/http_library.h"

static char printed[4096];

/* Say what the library says, and keep what is printed. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    int before, capture = divert(stderr, &before);
    va_list arguments;

    va_start(arguments, format);
    http_library_log(NULL, format, arguments);
    va_end(arguments);
    restore(stderr, before, capture, printed, sizeof(printed));
}

static void messages_about_clients(void **state)
{
    static const char *const messages[] = {
        "Connection socket is closed when reading the request due to an error.\n",
        "Error processing request (HTTP response code is 400). Closing connection.\n",
        "Received HTTP/1.1 request without `Host' header.\n",
        "Failed to parse `Content-Length' header. Closing connection.\n",
        "Too large value of 'Content-Length' header.\n",
        "Failed to receive data in request.\n",
        "Failed to send the response headers for the request.\n",
        "Closing connection (out of memory).\n",
        "Socket has been disconnected when reading request.\n",
    };

    (void)state;
    for (unsigned i = 0; i < LENGTH(messages); i++) {
        say("%s", messages[i]);
        assert_string_equal(printed, "");
    }
    say("Error processing request (HTTP response code is %u). Closing connection.\n", 400u);
    assert_string_equal(printed, "");
}

static void messages_about_this_machine(void **state)
{
    (void)state;
    say("Error accepting connection: %s\n", "Too many open files");
    assert_non_null(strstr(printed, ": Error accepting connection: Too many open files\n"));
    say("%s", "Failed to add FD to epoll set.\n");
    assert_non_null(strstr(printed, ": Failed to add FD to epoll set.\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_about_clients),
        cmocka_unit_test(messages_about_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
