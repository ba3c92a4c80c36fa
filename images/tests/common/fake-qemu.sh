#!/bin/bash
# Plays QEMU and guest for the tests: finds its descriptors in the arguments as QEMU would, then does what $FAKE says.
if [ "$1" = --version ]; then
    echo "QEMU emulator version ${FAKE_VERSION:-7.2.22} (fake)"
    exit 0
fi
for argument in "$@"; do
    case $argument in
        socket,id=*,fd=*)
            name=${argument#socket,id=}
            declare "${name%%,*}=${argument##*fd=}"
            ;;
        fd=*,set=2)
            log=${argument#fd=}
            log=${log%,*}
            ;;
    esac
done
out() { printf '%b' "$1" >&"$stdout"; }
err() { printf '%b' "$1" >&"$stderr"; }
say() { echo "$*" >&"$control"; }
log() { echo "$*" >&"$log"; }
hear() { read -r heard <&"$control"; }
# The end of a run with one program: wait until the host has everything, then switch off.
finish() {
    say done
    while hear && [ "$heard" != ack ]; do :; done
    exit 0
}
manifest() { tr -d '\0' <"/dev/fd/$(for a in "$@"; do case $a in fd=*,set=1) a=${a#fd=}; echo "${a%,set=1}" ;; esac; done)"; }
eval "$FAKE"
