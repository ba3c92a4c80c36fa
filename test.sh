#!/bin/sh
# All set-up, then every test: ./test.sh [--quick]. What CI runs is this.
#   --quick   without the guest tests: formatting, lints, host tests, and that the kernel links
# One guest test: cargo run -p tests -- WORD       (a word of its name; --list shows the names)
set -eu
root=$(cd "$(dirname "$0")" && pwd)
cd "$root"
quick=
[ "${1-}" != --quick ] || quick=yes

say() {
    echo "test.sh: $*" >&2
}

# Set-up: Debian packages whose commands are missing, and a JDK with javac.
missing=
need() {
    PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need qemu-system-x86_64 qemu-system-x86
need mkfs.erofs erofs-utils
need cc "gcc libc6-dev"
need c++ g++
[ -x /bin/busybox ] || missing="$missing busybox-static"
[ -x /usr/bin/python3 ] || missing="$missing python3"
need javac openjdk-17-jdk-headless
need unshare util-linux
if [ -n "$missing" ]; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    say "installing$missing"
    # shellcheck disable=SC2086 # words are meant to be split
    install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null; }
    install || { $as_root apt-get update -qq && install; } || {
        say "missing packages; run: sudo apt-get install$missing"
        exit 2
    }
fi
command -v cargo >/dev/null 2>&1 || { say "Rust is missing: no cargo on the PATH; install it from https://rustup.rs"; exit 2; }

# The Java probes, which the project shares with others.
: "${DEMITASSE_SHARED:=$root/../shared}"
export DEMITASSE_SHARED
[ -d "$DEMITASSE_SHARED/probes" ] || { say "no folder $DEMITASSE_SHARED/probes: set DEMITASSE_SHARED to the shared folder"; exit 2; }

target=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "$target"
failed=
step() {
    name=$1
    shift
    say "$name"
    started=$(date +%s)
    "$@" || { failed="$failed; $name"; say "FAILED: $name"; }
    say "$name: $(($(date +%s) - started)) s"
}

# The status of cargo, not of tee.
cargo_tests() {
    { cargo test --workspace --features fs/volumes --no-fail-fast 2>&1; echo "$?" >"$target/cargo-test.status"; } | tee "$target/cargo-test.log"
    [ "$(cat "$target/cargo-test.status")" = 0 ]
}

step "formatting" cargo fmt --all --check
step "lints" cargo clippy --quiet --workspace --all-targets --features fs/volumes,jvm-host/volumes,net/network,drivers/network -- -D warnings
step "lints of the models" cargo clippy --quiet -p sched -p mm --tests --features sched/loom,mm/loom -- -D warnings
step "lints of the models of vCPUs" cargo clippy --quiet -p sched --tests --features sched/vcpus -- -D warnings
step "host tests" cargo_tests
# loom tries every order in which threads and vCPUs can meet: waiting, futexes, locks; run queues and the switch; the shoot-down of translations.
step "models of sched" cargo test --quiet --release -p sched --features loom models
step "models of vCPUs" cargo test --quiet --release -p sched --features vcpus models
step "models of mm" cargo test --quiet --release -p mm --features loom models
step "kernel" cargo kernel --quiet
if [ -z "$quick" ]; then
    # Release: the tools move megabytes through ports.
    cargo build --quiet --release -p tests -p images
    step "guest tests" "$target/release/guest-tests" --cargo-log "$target/cargo-test.log"
    # A short sample of OpenJDK's own tests; tests/jtreg/README.md says how all are run.
    step "OpenJDK's tests" "$target/release/jtreg" --sample 24 --longest 2 --skip-unfetched
fi
if [ -n "$failed" ]; then
    say "failed:${failed#;}"
    exit 1
fi
