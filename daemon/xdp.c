#include "xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <presence_xdp.skel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/atomics.h"
#include "processors.h"

static int add_endpoint(struct presence_xdp_config *config, const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct presence_xdp_endpoint endpoint = {0};

    if (address->ss_family == AF_INET && config->v4_count < PRESENCE_XDP_ENDPOINTS) {
        memcpy(&v4, address, sizeof(v4));
        endpoint.port = v4.sin_port;
        endpoint.any = v4.sin_addr.s_addr == INADDR_ANY;
        memcpy(endpoint.words, &v4.sin_addr, sizeof(v4.sin_addr));
        config->v4[config->v4_count++] = endpoint;
        return 0;
    }
    if (address->ss_family == AF_INET6 && config->v6_count < PRESENCE_XDP_ENDPOINTS) {
        memcpy(&v6, address, sizeof(v6));
        endpoint.port = v6.sin6_port;
        endpoint.any = IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
        memcpy(endpoint.words, &v6.sin6_addr, sizeof(v6.sin6_addr));
        config->v6[config->v6_count++] = endpoint;
        return 0;
    }
    return -EINVAL;
}

/* Set the data that the program needs before it is loaded. */
static int configure(struct xdp *xdp, const struct xdp_settings *settings, bool trains)
{
    struct presence_xdp *skeleton = xdp->skeleton;
    struct presence_xdp_config *config = &skeleton->rodata->config;
    unsigned networks = settings->network_count ? settings->network_count : 1;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < settings->endpoint_count; i++)
        r = add_endpoint(config, &settings->endpoints[i]);
    config->has_networks = settings->networks != NULL;
    config->trains = trains;
    config->sender_rate = settings->sender_rate;
    if (r == 0)
        r = bpf_map__set_max_entries(skeleton->maps.counters,
                                     xdp->processors * PRESENCE_XDP_COUNTERS);
    if (r == 0)
        r = bpf_map__set_max_entries(skeleton->maps.networks_v4, networks);
    if (r == 0)
        r = bpf_map__set_max_entries(skeleton->maps.networks_v6, networks);
    if (r == 0 && !settings->sender_rate)
        r = bpf_map__set_max_entries(skeleton->maps.rates, 1);
    return r;
}

static int add_network(const struct presence_xdp *skeleton, const struct network *network)
{
    struct presence_xdp_v4_prefix v4 = {.bits = network->bits};
    struct presence_xdp_v6_prefix v6 = {.bits = network->bits};
    const uint8_t allowed = 1;

    memcpy(v4.address, network->address, sizeof(v4.address));
    memcpy(v6.address, network->address, sizeof(v6.address));
    if (network->v6)
        return bpf_map__update_elem(skeleton->maps.networks_v6, &v6, sizeof(v6), &allowed,
                                    sizeof(allowed), BPF_ANY);
    return bpf_map__update_elem(skeleton->maps.networks_v4, &v4, sizeof(v4), &allowed,
                                sizeof(allowed), BPF_ANY);
}

static int map_counters(struct xdp *xdp)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = xdp->processors * PRESENCE_XDP_COUNTERS * sizeof(uint64_t);

    xdp->counters_size = (size + page - 1) / page * page;
    void *counters = mmap(NULL, xdp->counters_size, PROT_READ, MAP_SHARED,
                          bpf_map__fd(xdp->skeleton->maps.counters), 0);
    if (counters == MAP_FAILED)
        return -errno;
    xdp->counters = counters;
    return 0;
}

static int load(struct xdp *xdp, const struct xdp_settings *settings, bool trains)
{
    xdp->skeleton = presence_xdp__open();
    if (!xdp->skeleton)
        return -errno;
    int r = configure(xdp, settings, trains);
    if (r == 0)
        r = presence_xdp__load(xdp->skeleton);
    for (unsigned i = 0; r == 0 && settings->networks && i < settings->network_count; i++)
        r = add_network(xdp->skeleton, &settings->networks[i]);
    if (r < 0)
        return r;
    xdp->program = bpf_program__fd(xdp->skeleton->progs.presence_xdp);
    return map_counters(xdp);
}

int xdp_load(const struct xdp_settings *settings, bool trains, struct xdp **ret)
{
    int processors = processors_possible();
    struct xdp *xdp = calloc(1, sizeof(*xdp));

    if (!xdp)
        return -ENOMEM;
    libbpf_set_print(NULL); /* no messages */
    xdp->link = -1;
    xdp->processors = processors < 0 ? 0 : (unsigned)processors;
    int r = processors < 0 ? processors : load(xdp, settings, trains);
    if (r < 0) {
        xdp_close(xdp);
        return r;
    }
    *ret = xdp;
    return 0;
}

void xdp_close(struct xdp *xdp)
{
    if (!xdp)
        return;
    if (xdp->link >= 0)
        close(xdp->link);
    if (xdp->counters)
        munmap((void *)(uintptr_t)xdp->counters, xdp->counters_size);
    presence_xdp__destroy(xdp->skeleton);
    free(xdp);
}

/* A network interface. */
struct interface {
    const char *name;
    int index;
    bool loopback;
    bool trains; /* its driver gives native programs unsegmented packets, too */
};

/* True for tun: a virtual machine may send packets that the host is to segment (tun_get_user in
 * drivers/net/tun.c). */
static bool hands_over_trains(int query, struct ifreq *request)
{
    struct ethtool_drvinfo information = {.cmd = ETHTOOL_GDRVINFO};

    request->ifr_data = (char *)&information;
    return ioctl(query, SIOCETHTOOL, request) == 0 && strcmp(information.driver, "tun") == 0;
}

static int query_interface(const char *name, int query, struct interface *ret)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (ioctl(query, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    /* The program expects an Ethernet header. */
    unsigned short type = request.ifr_hwaddr.sa_family;
    if (type != ARPHRD_ETHER && type != ARPHRD_LOOPBACK)
        return -EPROTOTYPE;
    ret->loopback = type == ARPHRD_LOOPBACK;
    ret->trains = hands_over_trains(query, &request);
    return 0;
}

static int find_interface(const char *name, struct interface *ret)
{
    ret->name = name;
    ret->index = (int)if_nametoindex(name);
    if (ret->index == 0)
        return -ENODEV;
    int query = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (query < 0)
        return -errno;
    int r = query_interface(name, query, ret);
    close(query);
    return r;
}

static int attach_in(bool generic, const struct interface *interface,
                     const struct xdp_settings *settings, struct xdp **ret)
{
    struct bpf_link_create_opts options = {
        .sz = sizeof(options),
        .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE,
    };
    struct xdp *xdp;
    int r = xdp_load(settings, generic || interface->trains, &xdp);

    if (r < 0)
        return r;
    xdp->is_generic = generic;
    xdp->is_loopback = interface->loopback;
    /* A link is detached once nobody has it open, unlike a program attached otherwise. */
    xdp->link = bpf_link_create(xdp->program, interface->index, BPF_XDP, &options);
    if (xdp->link < 0) {
        r = xdp->link;
        xdp_close(xdp);
        return r == -EEXIST ? -EBUSY : r;
    }
    *ret = xdp;
    return 0;
}

static const char *explain(int error, enum xdp_mode mode)
{
    switch (-error) {
    case EPERM:
    case EACCES:
        return "not permitted: it needs the capabilities CAP_BPF and CAP_NET_ADMIN";
    case EBUSY:
        return "another XDP program is there: bpftool net shows which";
    case ENODEV:
        return "no such interface";
    case EPROTOTYPE:
        return "not an Ethernet interface";
    case EOPNOTSUPP:
        return mode == XDP_NATIVE ? "its driver has no native XDP: try --xdp-mode generic"
                                  : "the kernel has no XDP for it";
    case ERANGE:
        return "its MTU is too large for native XDP: try --xdp-mode generic";
    case EINVAL:
    case ENOSYS:
        return "the kernel refuses it: it needs Linux 5.18 with BPF";
    default:
        return strerror(-error);
    }
}

int xdp_attach(const char *name, enum xdp_mode mode, const struct xdp_settings *settings,
               struct xdp **ret, char *ret_problem)
{
    struct interface interface;
    int r = find_interface(name, &interface);

    if (r == 0) {
        r = attach_in(mode == XDP_GENERIC, &interface, settings, ret);
        if (r < 0 && mode == XDP_AUTO && r != -EBUSY && r != -EPERM)
            r = attach_in(true, &interface, settings, ret);
    }
    if (r < 0)
        snprintf(ret_problem, XDP_PROBLEM_SIZE, "%s", explain(r, mode));
    return r;
}

void xdp_counters(const struct xdp *xdp, uint64_t ret[PRESENCE_XDP_FATES])
{
    for (unsigned fate = 0; fate < PRESENCE_XDP_FATES; fate++) {
        ret[fate] = 0;
        for (unsigned i = 0; i < xdp->processors; i++)
            ret[fate] += atomic_load_relaxed(
                &xdp->counters[i * PRESENCE_XDP_COUNTERS + fate]); /* statistics */
    }
}
