#!/bin/sh
# Adds Debian packages to a root file system: a tar of it on standard input, a tar of the whole on standard output.
#
# 1. The packages come from where the root file system's own apt says, which base.sh set to the machine's mirror.
# 2. Nothing is started: not while packages are configured, and not afterwards.
# 3. The folder it works in and what is mounted there are gone when it ends, as in base.sh.
#
# Usage, as root: extend.sh PACKAGE... < base.tar > more.tar    Progress goes to standard error.
set -eu

if [ -z "${SPLITBRAIN_UNSHARED:-}" ]; then
    SPLITBRAIN_UNSHARED=1 exec unshare --mount sh "$0" "$@"
fi

proxy=
eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [ -n "$proxy" ]; then
    export http_proxy="$proxy"
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/splitbrain-base-XXXXXX")
clean() {
    trap '' INT TERM HUP PIPE
    umount -R "$root/proc" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP PIPE

tar --numeric-owner -C "$root" -xf -
mkdir -p "$root/proc" "$root/sys" "$root/dev"
mount -t proc proc "$root/proc"
for device in null zero random urandom; do
    [ -e "$root/dev/$device" ] || cp -a "/dev/$device" "$root/dev/$device"
done
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
echo "I: Retrieving the lists of packages" >&2
chroot "$root" apt-get update -q >&2
chroot "$root" apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@" >&2
umount -R "$root/proc"
rm -f "$root/usr/sbin/policy-rc.d"
tar --one-file-system --numeric-owner -C "$root" -cf - \
    --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc --exclude=./usr/share/man \
    --exclude=./usr/share/locale --exclude='./etc/ssh/ssh_host_*' --exclude=./proc --exclude=./sys --exclude=./dev .
