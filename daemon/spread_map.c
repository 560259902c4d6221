#include "spread_map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <presence_spread.skel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* Each address has its own program, since it has its own sockets. All share the first one's maps of
 * senders and turns. */
struct spread_map {
    struct spread_map_settings settings;
    uint64_t secret;
    struct presence_spread *first;
    bool attached; /* the first program has an address */
};

static void explain(int error, char *ret_problem)
{
    switch (-error) {
    case EPERM:
        snprintf(ret_problem, SPREAD_PROBLEM_SIZE,
                 "not permitted: it needs the capability CAP_BPF");
        break;
    case EACCES: /* the verifier refuses it */
    case EINVAL:
    case ENOSYS:
        snprintf(ret_problem, SPREAD_PROBLEM_SIZE,
                 "the kernel refuses the program: it needs Linux 5.8 with BPF");
        break;
    default:
        snprintf(ret_problem, SPREAD_PROBLEM_SIZE, "%s", strerror(-error));
    }
}

static int configure(const struct spread_map *map, struct presence_spread *skeleton)
{
    struct presence_spread_config *config = &skeleton->rodata->config;
    int r = bpf_map__set_max_entries(skeleton->maps.senders, map->settings.buckets);

    config->secret = map->secret;
    config->silence = map->settings.silence_ns;
    config->workers = map->settings.workers;
    config->buckets = map->settings.buckets;
    if (r == 0 && map->first)
        r = bpf_map__reuse_fd(skeleton->maps.senders, bpf_map__fd(map->first->maps.senders));
    if (r == 0 && map->first)
        r = bpf_map__reuse_fd(skeleton->maps.turns, bpf_map__fd(map->first->maps.turns));
    return r;
}

static int load(const struct spread_map *map, struct presence_spread **ret)
{
    struct presence_spread *skeleton = presence_spread__open();

    if (!skeleton)
        return -errno;
    int r = configure(map, skeleton);
    if (r == 0)
        r = presence_spread__load(skeleton);
    if (r < 0) {
        presence_spread__destroy(skeleton);
        return r;
    }
    *ret = skeleton;
    return 0;
}

int spread_map_open(const struct spread_map_settings *settings, struct spread_map **ret,
                    char *ret_problem)
{
    struct spread_map *map = calloc(1, sizeof(*map));
    int r = map ? 0 : -ENOMEM;

    if (r == 0) {
        libbpf_set_print(NULL); /* no messages */
        map->settings = *settings;
        if (!map->settings.buckets)
            map->settings.buckets = PRESENCE_SPREAD_BUCKETS;
        if (!map->settings.silence_ns)
            map->settings.silence_ns = PRESENCE_SPREAD_SILENCE;
        if (getrandom(&map->secret, sizeof(map->secret), 0) < 0)
            r = -errno;
    }
    if (r == 0)
        r = load(map, &map->first);
    if (r < 0) {
        explain(r, ret_problem);
        spread_map_close(map);
        return r;
    }
    *ret = map;
    return 0;
}

static int attach(const struct presence_spread *skeleton, unsigned workers, const int *sockets)
{
    int program = bpf_program__fd(skeleton->progs.presence_spread);

    for (uint32_t i = 0; i < workers; i++) {
        uint64_t descriptor = (uint64_t)sockets[i];
        int r = bpf_map__update_elem(skeleton->maps.sockets, &i, sizeof(i), &descriptor,
                                     sizeof(descriptor), BPF_ANY);
        if (r < 0)
            return r;
    }
    if (setsockopt(sockets[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int spread_map_attach(struct spread_map *map, const int *sockets, char *ret_problem)
{
    struct presence_spread *skeleton = map->first;
    int r = map->attached ? load(map, &skeleton) : 0;

    if (r == 0)
        r = attach(skeleton, map->settings.workers, sockets);
    if (r < 0)
        explain(r, ret_problem);
    if (map->attached && skeleton != map->first)
        presence_spread__destroy(skeleton); /* the sockets keep the program */
    map->attached = true;
    return r;
}

void spread_map_close(struct spread_map *map)
{
    if (!map)
        return;
    presence_spread__destroy(map->first);
    free(map);
}
