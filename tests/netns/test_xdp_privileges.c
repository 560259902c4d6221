/* test_xdp_privileges.c - the filter that the kernel makes of the program, with the capabilities of
 * the service. Without CAP_PERFMON the verifier puts barriers against speculation into it.
 *
 * argv[1] is presenced.service as it was built. */
#include "filter.h"

#include <cap-ng.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER 65534 /* not root */

struct code {
    int error; /* of loading it */
    uint32_t instructions, bytes;
};

static const char *unit;

/* Keep of all capabilities those that the unit gives, but one. */
static void become_service(int left_out)
{
    char line[512], *rest;
    FILE *file = fopen(unit, "r");

    assert_non_null(file);
    capng_clear(CAPNG_SELECT_BOTH);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "AmbientCapabilities=", 20) != 0)
            continue;
        for (char *name = strtok_r(line + 20, " \n", &rest); name;
             name = strtok_r(NULL, " \n", &rest)) {
            int capability = capng_name_to_capability(name + strlen("CAP_"));
            assert_true(capability >= 0);
            if (capability != left_out)
                capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, (unsigned)capability);
        }
    }
    fclose(file);
    assert_int_equal(capng_change_id(USER, USER, CAPNG_DROP_SUPP_GRP), 0);
}

/* Load the filter with all that it can do: without endpoints, networks and a rate, the kernel
 * removes most of it before it looks for what needs a barrier. */
static struct code load(bool generic)
{
    struct xdp *xdp = NULL;
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    struct sockaddr_storage endpoints[2];
    struct network network;

    set_endpoint(&endpoints[0], FRAME_V4, FRAME_PORT);
    set_endpoint(&endpoints[1], FRAME_V6, FRAME_PORT);
    assert_int_equal(network_parse("198.51.100.0/24", &network), 0);
    const struct xdp_settings settings = {
        .endpoints = endpoints,
        .endpoint_count = LENGTH(endpoints),
        .networks = &network,
        .network_count = 1,
        .sender_rate = 1000,
    };
    struct code code = {.error = xdp_load(&settings, generic, &xdp)};

    if (code.error == 0) {
        assert_int_equal(bpf_obj_get_info_by_fd(xdp->program, &info, &size), 0);
        code.instructions = info.xlated_prog_len / (uint32_t)sizeof(struct bpf_insn);
        code.bytes = info.jited_prog_len;
        xdp_close(xdp);
    }
    return code;
}

/* Load it as the service's user in a process of its own. */
static struct code load_as_service(bool generic, int left_out)
{
    struct code code = {.error = -ECHILD};
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        become_service(left_out);
        code = load(generic);
        _exit(write(ends[1], &code, sizeof(code)) == sizeof(code) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &code, sizeof(code)), sizeof(code));
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return code;
}

static void print_code(const char *whose, bool generic, const struct code *code)
{
    print_message("%s, %s: %s, %u instructions, %u bytes\n", whose, generic ? "generic" : "native",
                  strerror(-code->error), code->instructions, code->bytes);
}

static void check_mode(bool generic)
{
    const struct code root = load(generic);
    const struct code service = load_as_service(generic, -1);
    const struct code without = load_as_service(generic, CAP_PERFMON);

    print_code("root", generic, &root);
    print_code("the service", generic, &service);
    print_code("without CAP_PERFMON", generic, &without);
    assert_int_equal(root.error, 0);
    assert_int_equal(service.error, 0);
    assert_int_equal(without.error, 0);
    assert_int_equal(service.instructions, root.instructions);
    assert_int_equal(service.bytes, root.bytes);
    assert_int_equal(load_as_service(generic, CAP_BPF).error, -EPERM);
}

static void the_service_has_roots_filter(void **state)
{
    (void)state;
    check_mode(false);
    check_mode(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_service_has_roots_filter),
    };

    if (argc != 2 || geteuid() != 0 || !can_load_filter())
        return 77;
    unit = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
