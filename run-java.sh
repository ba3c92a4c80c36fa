#!/bin/sh
# Runs a jar on Demitasse: ./run-java.sh [OPTIONS] app.jar [ARGS]. ./run-java.sh --help says more.
#
# A thin wrapper: makes sure that the packages, the host tool and the example are there, then hands over to the tool
# (images/, in Rust), which does everything else.
set -eu
root=$(cd "$(dirname "$0")" && pwd)

say() {
    echo "demitasse: $*" >&2
}

# Debian packages whose commands are missing.
missing=
command -v qemu-system-x86_64 >/dev/null 2>&1 || missing="$missing qemu-system-x86"
PATH=$PATH:/usr/sbin:/sbin command -v mkfs.erofs >/dev/null 2>&1 || missing="$missing erofs-utils"
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"

install_packages() {
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        say "missing packages; run: sudo apt-get install$missing"
        exit 2
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        say "missing commands, and no apt-get to install them; install what Debian calls:$missing"
        exit 2
    fi
    say "installing$missing ..."
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    install="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$missing"
    # shellcheck disable=SC2086 # words are meant to be split
    $install >"$log" 2>&1 || { $as_root apt-get update >>"$log" 2>&1 && $install >>"$log" 2>&1; } || {
        say "installing failed: $(tail -n 1 "$log"); run: sudo apt-get install$missing"
        exit 2
    }
    rm -f "$log"
    trap - EXIT
}
[ -z "$missing" ] || install_packages

# The host tool, built when it is missing or older than its sources.
target=${CARGO_TARGET_DIR:-$root/target}
tool=$target/release/demitasse
if [ ! -x "$tool" ] || [ -n "$(find "$root/images" "$root/jni-bridge/wire" "$root/Cargo.toml" "$root/Cargo.lock" \
    -newer "$tool" -type f ! -path '*/tests/*' -print -quit)" ]; then
    if ! command -v cargo >/dev/null 2>&1; then
        say "Rust is missing: no cargo on the PATH; install it from https://rustup.rs"
        exit 2
    fi
    say "building the host tool, once ..."
    quiet=--quiet
    [ ! -t 2 ] || quiet=
    # shellcheck disable=SC2086 # no word when empty
    (cd "$root" && CARGO_TARGET_DIR=$target cargo build $quiet --release -p images --bin demitasse) >&2 || {
        say "the host tool does not build; the messages above say why"
        exit 120
    }
    touch "$tool"
fi

# The example; without javac there is none, which matters only to who runs it.
sh "$root/examples/build.sh" >/dev/null 2>&1 || true

DEMITASSE_ROOT=$root exec "$tool" "$@"
