#!/bin/sh
# Writes a Debian root file system as a tar on standard output: the base of the node image where no image can be pulled.
#
# 1. The release and the mirror are the machine's own, as its apt is configured; none is named here.
# 2. The folder it works in and what is mounted there are gone when it ends, also when it is interrupted or when
#    nobody reads the tar any more.
#
# Usage, as root: base.sh PACKAGE... > base.tar    Progress goes to standard error.
set -eu

# A mount namespace of its own: debootstrap mounts /proc and /sys, and a kill -9 must not leave them mounted under
# a folder that the next clean-up deletes.
if [ -z "${SPLITBRAIN_UNSHARED:-}" ]; then
    SPLITBRAIN_UNSHARED=1 exec unshare --mount sh "$0" "$@"
fi

release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    awk -v release="$release" '$1 == release { print $2; exit }')
if [ -z "$mirror" ]; then
    echo "E: apt knows no mirror of '$release' main; run apt-get update" >&2
    exit 1
fi
proxy=
eval "$(apt-config shell proxy Acquire::http::Proxy)"
if [ -n "$proxy" ]; then
    export http_proxy="$proxy"
fi

root=$(mktemp -d "${TMPDIR:-/tmp}/splitbrain-base-XXXXXX")
clean() {
    # Whoever interrupts does so again until this ends; the clean-up itself must not be cut short.
    trap '' INT TERM HUP PIPE
    umount -R "$root/proc" "$root/sys" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP PIPE

# Without a keyring debootstrap would only warn, and take what the mirror gives.
debootstrap --force-check-gpg --variant=minbase --include="$(echo "$*" | tr ' ' ',')" "$release" "$root" "$mirror" >&2
umount -R "$root/proc" "$root/sys" 2>/dev/null || true
tar --one-file-system --numeric-owner -C "$root" -cf - \
    --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc --exclude=./usr/share/man \
    --exclude=./usr/share/locale --exclude='./etc/ssh/ssh_host_*' --exclude=./proc --exclude=./sys .
