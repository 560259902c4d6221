/* Built without libbpf, clang or bpftool: no program. */
#include <errno.h>
#include <stdio.h>

#include "spread_map.h"

int spread_map_open(const struct spread_map_settings *settings, struct spread_map **ret,
                    char *ret_problem)
{
    (void)settings;
    (void)ret;
    snprintf(ret_problem, SPREAD_PROBLEM_SIZE,
             "this presenced was built without BPF (it needs libbpf, clang and bpftool)");
    return -ENOSYS;
}

int spread_map_attach(struct spread_map *map, const int *sockets, int *array, char *ret_problem)
{
    (void)sockets;
    (void)array;
    return spread_map_open(NULL, &map, ret_problem);
}

bool spread_map_fits(const struct spread_map *map, int array)
{
    (void)map;
    (void)array;
    return false;
}

void spread_map_shared(const struct spread_map *map, int ret[SPREAD_SHARED])
{
    (void)map;
    ret[SPREAD_SENDERS] = ret[SPREAD_TURNS] = -1;
}

bool spread_map_is_new(const struct spread_map *map)
{
    (void)map;
    return false;
}

void spread_map_close(struct spread_map *map)
{
    (void)map;
}
