#include "spread_map.h"

#include "../../bpf/presence_spread.h" /* before its skeleton */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <presence_spread.skel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Each address has its own program, since it has its own sockets. All share the first one's maps of
 * senders and turns. */
struct spread_map {
    struct spread_map_settings settings;
    uint64_t secret;
    bool is_new; /* the maps of senders and turns */
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
    case EBUSY:
        snprintf(ret_problem, SPREAD_PROBLEM_SIZE,
                 "the sockets of an earlier presenced still have its program");
        break;
    default:
        snprintf(ret_problem, SPREAD_PROBLEM_SIZE, "%s", strerror(-error));
    }
}

/* True if the descriptor is a map like this one, and the program may use it in its place. */
static bool fits(const struct bpf_map *map, int descriptor)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);

    return descriptor >= 0 && bpf_obj_get_info_by_fd(descriptor, &info, &length) == 0 &&
           info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) &&
           info.value_size == bpf_map__value_size(map) &&
           info.max_entries == bpf_map__max_entries(map);
}

/* Go on with an earlier daemon's maps, and with its secret. */
static void adopt_former(struct spread_map *map, const struct presence_spread *skeleton)
{
    static const uint32_t first = 0;
    const int *former = map->settings.former;
    struct presence_spread_shared shared;

    if (!former || !fits(skeleton->maps.senders, former[SPREAD_SENDERS]) ||
        !fits(skeleton->maps.turns, former[SPREAD_TURNS]) ||
        bpf_map_lookup_elem(former[SPREAD_TURNS], &first, &shared) < 0 ||
        bpf_map__reuse_fd(skeleton->maps.senders, former[SPREAD_SENDERS]) < 0 ||
        bpf_map__reuse_fd(skeleton->maps.turns, former[SPREAD_TURNS]) < 0)
        return;
    map->secret = shared.secret;
    map->is_new = false;
}

static int share_first(const struct spread_map *map, const struct presence_spread *skeleton)
{
    int shared[SPREAD_SHARED];

    spread_map_shared(map, shared);
    int r = bpf_map__reuse_fd(skeleton->maps.senders, shared[SPREAD_SENDERS]);
    return r < 0 ? r : bpf_map__reuse_fd(skeleton->maps.turns, shared[SPREAD_TURNS]);
}

static int configure(struct spread_map *map, struct presence_spread *skeleton, int array)
{
    struct presence_spread_config *config = &skeleton->rodata->config;
    int r = bpf_map__set_max_entries(skeleton->maps.senders, map->settings.buckets);

    if (r == 0 && map->first)
        r = share_first(map, skeleton);
    else if (r == 0)
        adopt_former(map, skeleton);
    if (r == 0 && array >= 0)
        r = bpf_map__reuse_fd(skeleton->maps.sockets, array);
    config->secret = map->secret;
    config->silence = map->settings.silence_ns;
    config->workers = map->settings.workers;
    config->buckets = map->settings.buckets;
    return r;
}

static int load(struct spread_map *map, int array, struct presence_spread **ret)
{
    struct presence_spread *skeleton = presence_spread__open();

    if (!skeleton)
        return -errno;
    int r = configure(map, skeleton, array);
    if (r == 0)
        r = presence_spread__load(skeleton);
    if (r < 0) {
        presence_spread__destroy(skeleton);
        return r;
    }
    *ret = skeleton;
    return 0;
}

/* Load the first program, and publish the secret of new maps. */
static int load_first(struct spread_map *map)
{
    static const uint32_t first = 0;

    map->is_new = true;
    if (getrandom(&map->secret, sizeof(map->secret), 0) < 0)
        return -errno;
    int r = load(map, -1, &map->first);
    if (r < 0 || !map->is_new)
        return r;
    const struct presence_spread_shared shared = {.secret = map->secret};
    return bpf_map_update_elem(bpf_map__fd(map->first->maps.turns), &first, &shared, BPF_ANY);
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
        r = load_first(map);
    }
    if (r < 0) {
        explain(r, ret_problem);
        spread_map_close(map);
        return r;
    }
    *ret = map;
    return 0;
}

/* Put a socket into its place in the map, unless it is there: putting it there again is -EBUSY. */
static int place_socket(const struct bpf_map *map, uint32_t worker, int socket)
{
    uint64_t descriptor = (uint64_t)socket, cookie, there;
    socklen_t length = sizeof(cookie);

    if (getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 &&
        bpf_map_lookup_elem(bpf_map__fd(map), &worker, &there) == 0 && there == cookie)
        return 0;
    return bpf_map__update_elem(map, &worker, sizeof(worker), &descriptor, sizeof(descriptor),
                                BPF_ANY);
}

static int attach(const struct presence_spread *skeleton, unsigned workers, const int *sockets)
{
    int program = bpf_program__fd(skeleton->progs.presence_spread);

    for (uint32_t i = 0; i < workers; i++) {
        int r = place_socket(skeleton->maps.sockets, i, sockets[i]);
        if (r < 0)
            return r;
    }
    if (setsockopt(sockets[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int spread_map_attach(struct spread_map *map, const int *sockets, int *array, char *ret_problem)
{
    struct presence_spread *skeleton = map->first;
    bool is_other = map->attached || *array >= 0; /* the first program has a new map */
    int r = is_other ? load(map, *array, &skeleton) : 0;

    if (r == 0)
        r = attach(skeleton, map->settings.workers, sockets);
    if (r == 0 && *array < 0) {
        *array = fcntl(bpf_map__fd(skeleton->maps.sockets), F_DUPFD_CLOEXEC, 0);
        r = *array < 0 ? -errno : 0;
    }
    if (r < 0)
        explain(r, ret_problem);
    if (is_other && skeleton != map->first)
        presence_spread__destroy(skeleton); /* the sockets keep the program */
    if (!is_other)
        map->attached = true;
    return r;
}

bool spread_map_fits(const struct spread_map *map, int array)
{
    return fits(map->first->maps.sockets, array);
}

void spread_map_shared(const struct spread_map *map, int ret[SPREAD_SHARED])
{
    ret[SPREAD_SENDERS] = bpf_map__fd(map->first->maps.senders);
    ret[SPREAD_TURNS] = bpf_map__fd(map->first->maps.turns);
}

bool spread_map_is_new(const struct spread_map *map)
{
    return map->is_new;
}

void spread_map_close(struct spread_map *map)
{
    if (!map)
        return;
    presence_spread__destroy(map->first);
    free(map);
}
