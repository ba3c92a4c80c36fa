#!/bin/sh
# Runs one guest test on the host as the guest would see the world: everything read-only, with a /tmp and a /dev/shm of its own.
# A test runs as root and breaks things on purpose: nothing that it does may reach the machine. Without this sandbox no guest test is run on a host.
# SANDBOX_KEEP: directories under /tmp, with colons between, that stay to be seen there.
#   sandbox.sh PROGRAM [ARGS]        works as root, or as a user where user namespaces are allowed
set -eu
if [ "${DEMITASSE_SANDBOX-}" != inside ]; then
    user=; [ "$(id -u)" = 0 ] || user="--user --map-root-user"
    # shellcheck disable=SC2086 # no argument, or two
    exec env DEMITASSE_SANDBOX=inside unshare $user --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@"
fi
# Whatever fails before the program runs must not look like the program's own end.
trap 'exit 125' EXIT
for m in $(awk '{ print $5 }' /proc/self/mountinfo); do
    case $m in /proc|/proc/*|/dev|/dev/*) ;; *) mount -o remount,bind,ro "$m" 2>/dev/null || [ "$m" != / ] || { echo "sandbox: cannot make / read-only" >&2; exit 125; } ;; esac
done
# Made ready at /mnt, so that what is to be kept can be taken over from the old /tmp.
mount -t tmpfs -o "mode=1777,size=${SANDBOX_TMP_SIZE:-256m}" tmpfs /mnt
IFS=:
for kept in ${SANDBOX_KEEP-}; do
    case $kept in
    /tmp/?*)
        inside=/mnt/${kept#/tmp/}
        mkdir -p "$inside"
        mount -n --bind "$kept" "$inside"
        mount -n -o remount,bind,ro "$inside"
        ;;
    esac
done
unset IFS
mount -n --move /mnt /tmp
mount -t tmpfs -o mode=1777,size=256m tmpfs /dev/shm
# A write that gets through would mean that the sandbox failed.
if (: > /sandbox-probe) 2>/dev/null; then echo "sandbox: / is writable" >&2; exit 125; fi
unset DEMITASSE_SANDBOX SANDBOX_TMP_SIZE SANDBOX_KEEP
cd /tmp
# Not exec: this shell is process 1 of the namespace, for which Linux ignores deadly signals. Its own remarks about them are thrown away.
trap - EXIT
exec 3>&2 2>/dev/null
"$@" 2>&3 3>&-
exit $?
