# packages.sh - sourced: install Debian packages that are missing.

packages_build=(gcc libc6-dev meson ninja-build pkg-config liburing-dev libxxhash-dev
    libjansson-dev libsmartcols-dev libinih-dev libcap-ng-dev libseccomp-dev libsqlite3-dev
    libmicrohttpd-dev libjwt-dev)
packages_xdp=(libbpf-dev clang bpftool) # for the XDP filter; without them it is left out
packages_test=(libcmocka-dev g++ python3 nginx-light haproxy curl util-linux iproute2 openssl
    prometheus python3-prometheus-client chromium chromium-driver fonts-inter)

# install_missing PACKAGE...: does nothing, and needs no rights, if all are there.
install_missing() {
    local package missing=() as_root=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "please install as root: apt-get install ${missing[*]}" >&2
            return 1
        }
        as_root=(sudo)
    fi
    echo "installing: ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq >&2 &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends "${missing[@]}" >&2
}
