#!/bin/sh
# Runs one guest test on the host as the guest would see the world: everything read-only, with a /tmp and a /dev/shm of its own.
# A test runs as root and breaks things on purpose: nothing that it does may reach the machine. Without this sandbox no guest test is run on a host.
# SANDBOX_KEEP: directories under /tmp, with colons between, that stay to be seen there.
#   sandbox.sh PROGRAM [ARGS]        works as root, or as a user where user namespaces are allowed
set -eu
if [ "${DEMITASSE_SANDBOX-}" != inside ]; then
    user=; [ "$(id -u)" = 0 ] || user="--user --map-root-user"
    # shellcheck disable=SC2086 # no argument, or two
    exec env DEMITASSE_SANDBOX=inside unshare $user --mount --propagation private --uts --net --pid --fork --kill-child --mount-proc "$0" "$@"
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
# The guest's name, and the guest's ways to look up names.
echo demitasse > /proc/sys/kernel/hostname
mount -t tmpfs tmpfs /mnt
{ cat /etc/hosts; echo "127.0.1.1 demitasse"; } > /mnt/hosts
{ grep -v '^hosts:' /etc/nsswitch.conf || true; echo "hosts: files dns"; } > /mnt/nsswitch.conf
for m in hosts nsswitch.conf; do mount -n --bind "/mnt/$m" "/etc/$m"; mount -n -o remount,bind,ro "/etc/$m"; done
umount -n -l /mnt
# The network is a loopback interface and nothing else. Perl brings it up: a struct ifreq with IFF_UP and IFF_RUNNING to SIOCSIFFLAGS.
perl -MSocket -e 'socket(S, AF_INET, SOCK_DGRAM, 0) && ioctl(S, 0x8914, my $r = pack("a16 S x22", "lo", 0x41)) or exit 1' || { echo "sandbox: cannot bring lo up" >&2; exit 125; }
# A write that gets through would mean that the sandbox failed.
if (: > /sandbox-probe) 2>/dev/null; then echo "sandbox: / is writable" >&2; exit 125; fi
unset DEMITASSE_SANDBOX SANDBOX_TMP_SIZE SANDBOX_KEEP
cd /tmp
trap - EXIT
# A parent that waits and is silent: as process 1 of the namespace the program itself could not die of a signal, and a shell would print its
# own line about a signal among the program's. Perl is part of every Debian.
# shellcheck disable=SC2016 # the variables are Perl's
exec env PERL_BADLANG=0 perl -e 'my $s = system { $ARGV[0] } @ARGV; exit 127 if $s == -1; exit($s & 127 ? 128 + ($s & 127) : $s >> 8)' "$@"
