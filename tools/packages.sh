# packages.sh - what presence needs to build and to be tested, and functions that install what is missing.
# To be sourced.

packages_build=(gcc libc6-dev dpkg-dev meson ninja-build pkg-config liburing-dev libxxhash-dev
    libjansson-dev libsmartcols-dev libinih-dev libcap-ng-dev libseccomp-dev libsqlite3-dev
    libsystemd-dev libmicrohttpd-dev libjwt-dev libyaml-dev libgnutls28-dev libcrypt-dev zlib1g-dev
    libhiredis-dev libwslay-dev esbuild)
packages_xdp=(libbpf-dev clang bpftool) # for the XDP filter, which is left out without them
packages_servers=(nginx-light haproxy prometheus redis-server redis-sentinel stunnel4) # the tests start them themselves
packages_test=(libcmocka-dev g++ git python3 libnginx-mod-http-geoip2 curl util-linux
    iproute2 openssl sqlite3 python3-prometheus-client python3-requests python3-yaml chromium chromium-driver firefox-esr
    fonts-inter apache2-bin strace procps bash-completion zsh fish groff-base mandoc systemd
    abigail-tools spin cppcheck clang-tidy shellcheck pyflakes3)
# Syslog relays for the tests. They are unpacked, not installed: they would become this machine's log
# daemon, and one would replace the other.
packages_unpacked=(rsyslog syslog-ng-core)
# From npm, as published: libraries that web pages use beside presence, and what checks Grafana's
# dashboard.
packages_npm=(@hotwired/turbo@8.0.23 react@19.3.1 react-dom@19.3.1
    @plausible-analytics/tracker@0.4.6 plausible-tracker@0.3.9
    @umami/api-client@0.81.0 plausible-api@1.0.1 @supabase/supabase-js@2.119.1 ws@8.23.0 badge-maker@6.0.0
    @grafana/schema@13.2.3 typescript@5.9.3)

# as_root COMMAND...: run it as root, by sudo if we are not
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# missing_packages PACKAGE...: print those that are not installed
missing_packages() {
    local package
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            echo "$package"
    done
}

# install_missing PACKAGE...: install those that are missing. Needs root only if some are.
install_missing() {
    local missing=()
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        echo "please install as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
    echo "installing: ${missing[*]}" >&2
    as_root apt-get update -qq >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends "${missing[@]}" >&2
}

# units_in_use: print the units that systemd runs, or starts at boot
units_in_use() {
    {
        systemctl list-units --all --state=active,activating,reloading --plain --no-legend
        systemctl list-unit-files --state=enabled,enabled-runtime --no-legend
    } 2>/dev/null | cut -d ' ' -f 1 | sort -u
}

# installed_packages: print all packages
installed_packages() {
    dpkg-query -W -f '${binary:Package}\n' | sort
}

# install_servers PACKAGE...: install those that are missing, and stop the services that systemd starts
# for them, now and at boot. What ran before goes on.
install_servers() {
    local missing=() units packages new=() started=() now=() result=0
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] && return 0
    echo "These packages have services, which are stopped and disabled after the installation: ${missing[*]}" >&2
    units=$(units_in_use) packages=$(installed_packages)
    install_missing "${missing[@]}" || result=$? # some may have been installed
    mapfile -t new < <(comm -13 <(echo "$packages") <(installed_packages))
    [ ${#new[@]} -gt 0 ] || return $result
    mapfile -t started < <(comm -13 <(echo "$units") <(units_in_use) |
        grep -Fx -f <(dpkg -L "${new[@]}" | sed -n 's|.*/systemd/system/||p'))
    [ ${#started[@]} -gt 0 ] || return $result
    echo "stopping and disabling: ${started[*]}" >&2
    ! systemctl list-units >/dev/null 2>&1 || now=(--now) # only where systemd runs
    as_root systemctl disable --quiet "${now[@]}" "${started[@]}" >&2 || result=$?
    return $result
}

# unpack_missing DIRECTORY PACKAGE...: unpack those that are missing to DIRECTORY/PACKAGE, and install the
# libraries that they need.
unpack_missing() {
    local directory=$1 package libraries
    shift
    for package; do
        [ ! -d "$directory/$package" ] || continue
        apt-cache show "$package" >/dev/null 2>&1 || as_root apt-get update -qq >&2
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
