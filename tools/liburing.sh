#!/bin/sh
# Build liburing from its source release, as a static library alone, and install it. For the containers in which the Linux wheels
# are made (cibuildwheel's before-all): theirs is missing or older than the 2.3 that src/port/poller_uring.c needs.
#
#     sh tools/liburing.sh [--prefix FOLDER] [--source FOLDER]
#
# --prefix   where it goes (default: /usr/local)
# --source   a checkout of liburing that is here already, instead of fetching it
#
# The release is pinned by its commit, which says what every file of it holds; the tag may be moved, the commit cannot.
set -eu
RELEASE=liburing-2.14
COMMIT=e3d35ea59d3ba09075ed4d7751e4bb9049cce64a
REPOSITORY=https://github.com/axboe/liburing

prefix=/usr/local source=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=$2; shift 2 ;;
        --source) source=$2; shift 2 ;;
        *) sed -n '2,9p' "$0" | cut -c3-; exit 2 ;;
    esac
done

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
if [ -z "$source" ]; then
    if command -v apk >/dev/null; then apk add --no-cache git linux-headers; elif ! command -v git >/dev/null; then dnf -y install git; fi
    git clone --quiet --depth 1 --branch "$RELEASE" "$REPOSITORY" "$build/liburing"
    source=$build/liburing
fi
found=$(git -C "$source" rev-parse "$RELEASE^{commit}")
if [ "$found" != "$COMMIT" ]; then
    echo "liburing.sh: $RELEASE is commit $found, not $COMMIT: do not build it before you know why" >&2
    exit 1
fi
mkdir "$build/tree"
git -C "$source" archive "$COMMIT" | tar -x -C "$build/tree"
cd "$build/tree"
# Position-independent, since it goes into an extension module.
export CFLAGS="${CFLAGS:--O2} -fPIC"
./configure --prefix="$prefix" --libdir="$prefix/lib" --libdevdir="$prefix/lib" --cc="${CC:-cc}" >/dev/null
make -s -C src ENABLE_SHARED=0 install
rm -f "$prefix/lib"/liburing-ffi.a
echo "liburing.sh: $RELEASE in $prefix"
