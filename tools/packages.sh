# packages.sh - what presence needs to build and to be tested, and functions that install what is missing.
# To be sourced.

packages_build=(gcc libc6-dev meson ninja-build pkg-config liburing-dev libxxhash-dev
    libjansson-dev libsmartcols-dev libinih-dev libcap-ng-dev libseccomp-dev libsqlite3-dev
    libsystemd-dev libmicrohttpd-dev libjwt-dev libyaml-dev libgnutls28-dev libcrypt-dev zlib1g-dev
    esbuild)
packages_xdp=(libbpf-dev clang bpftool) # for the XDP filter, which is left out without them
packages_test=(libcmocka-dev g++ python3 nginx-light libnginx-mod-http-geoip2 haproxy curl util-linux
    iproute2 openssl prometheus python3-prometheus-client chromium chromium-driver firefox-esr
    fonts-inter apache2-bin strace procps bash-completion systemd)
# Syslog relays for the tests. They are unpacked, not installed: they would become this machine's log
# daemon, and one would replace the other.
packages_unpacked=(rsyslog syslog-ng-core)
# From npm, as published: libraries that web pages use beside presence, and what checks Grafana's
# dashboard.
packages_npm=(@hotwired/turbo@8.0.23 react@19.3.1 react-dom@19.3.1
    @plausible-analytics/tracker@0.4.6 plausible-tracker@0.3.9
    @grafana/schema@13.2.3 typescript@5.9.3)

# install_missing PACKAGE...: install those that are missing. Needs root only if some are.
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

# unpack_missing DIRECTORY PACKAGE...: unpack those that are missing to DIRECTORY/PACKAGE, and install the
# libraries that they need.
unpack_missing() {
    local directory=$1 package libraries as_root=()
    shift
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    for package; do
        [ ! -d "$directory/$package" ] || continue
        apt-cache show "$package" >/dev/null 2>&1 || "${as_root[@]}" apt-get update -qq >&2
        mapfile -t libraries < <(apt-cache depends "$package" |
            sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
        install_missing "${libraries[@]}" || return
        echo "unpacking: $package" >&2
        rm -rf "$directory/new" && mkdir -p "$directory/new/files" &&
            (cd "$directory/new" && apt-get -o APT::Sandbox::User=root download -qq "$package" >&2) &&
            dpkg-deb -x "$directory"/new/"$package"_*.deb "$directory/new/files" &&
            mv "$directory/new/files" "$directory/$package" && rm -rf "$directory/new" || return
    done
}

# npm_missing DIRECTORY PACKAGE@VERSION...: install those that are missing, and their dependencies, to
# DIRECTORY/npm/node_modules. None of their scripts is run.
npm_missing() {
    local directory=$1/npm package missing=()
    shift
    for package; do
        grep -qs "\"version\": *\"${package##*@}\"" \
            "$directory/node_modules/${package%@*}/package.json" || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    # Look for the command, not for the package: a Node.js from elsewhere brings its own npm.
    command -v npm >/dev/null || install_missing npm || return
    echo "fetching from npm: ${missing[*]}" >&2
    # All of them at once: npm removes what it was not asked for.
    mkdir -p "$directory" &&
        npm install --prefix "$directory" --ignore-scripts --no-audit --no-fund --no-save \
            --loglevel=error "$@" >&2
}
