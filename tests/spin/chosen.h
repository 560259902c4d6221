/* chosen.h - what tests/spin/test_spin.py chooses for a model that is compiled once: a fault to be
 * found, and whether its bounds are the large ones. */
c_decl {
    \#include <stdlib.h>
    static int fault, large;
    static int number_in(const char *name) { return getenv(name) ? atoi(getenv(name)) : 0; }
    __attribute__((constructor)) static void choose(void)
    {
        fault = number_in("FAULT");
        large = number_in("LARGE");
    }
}

#define HAS(number) c_expr { fault == number }
#define IS_LARGE    c_expr { large }
