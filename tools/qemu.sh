#!/usr/bin/env bash
# Build the compiled core for another machine, and run the core's tests on it under qemu-user: qemu.sh ARCH [PYTEST ARGS]
# ARCH is s390x (big-endian), arm64 (plain char is unsigned; NEON), armhf or i386 (32 bits). Undefined behaviour, a
# misaligned access included, ends the process. docs/portability.md has the results.
#
# On Debian and Ubuntu: apt install qemu-user-static debian-archive-keyring gcc-s390x-linux-gnu gcc-aarch64-linux-gnu
# gcc-arm-linux-gnueabihf gcc-i686-linux-gnu. Needs no root and changes nothing: the other machine's Python, from Debian,
# is unpacked into a folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

RELEASE=${RELEASE:-trixie}  # of Debian; its glibc must not be older than the one that the cross compiler brings
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

debian=${1:?usage: qemu.sh ARCH [PYTEST ARGS]}
shift
case $debian in
    s390x) machine=s390x triplet=s390x-linux-gnu ;;
    arm64) machine=aarch64 triplet=aarch64-linux-gnu ;;
    armhf) machine=arm triplet=arm-linux-gnueabihf ;;
    i386) machine=i386 triplet=i686-linux-gnu ;;
    *) echo "qemu.sh knows s390x, arm64, armhf and i386, not $debian" >&2; exit 1 ;;
esac
for command in "qemu-$machine-static" "$triplet-gcc" apt-get dpkg-deb; do
    command -v "$command" >/dev/null || { echo "qemu.sh needs $command, see its first lines" >&2; exit 1; }
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_ROOT_USER_ACTION=ignore
[ "$debian" != arm64 ] || export QEMU_CPU=${QEMU_CPU:-cortex-a72}  # has no pointer authentication: six times as fast

echo "fetching Python for $debian"
root=$tmp/root
mkdir -p "$root"/usr/{bin,lib,sbin} "$tmp"/apt/{lists,archives}/partial
ln -s usr/{bin,lib,sbin} "$root"
: >"$tmp/apt/status"
echo "deb [signed-by=$keyring] http://deb.debian.org/debian $RELEASE main" >"$tmp/apt/sources.list"
apt() {
    apt-get -qq -o APT::Architecture="$debian" -o APT::Architectures="$debian" -o APT::Sandbox::User= \
        -o Acquire::Languages=none -o Dir::Etc::SourceList="$tmp/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$tmp/apt" -o Dir::State::status="$tmp/apt/status" -o Dir::Cache="$tmp/apt" "$@"
}
apt update
apt install --download-only --yes --no-install-recommends python3-dev
for deb in "$tmp"/apt/archives/*.deb; do dpkg-deb --extract "$deb" "$root"; done
python=("qemu-$machine-static" -L "$root" "$(readlink -f "$root/usr/bin/python3")")
version=$(basename "${python[3]}")
suffix=$("${python[@]}" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')

echo "building $suffix"
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install 'Cython>=3.3'
site=$tmp/site
mkdir "$tmp/source"
cp -R LICENSE README.md pyproject.toml setup.py src eslcodec "$tmp/source"
ESLCODEC_BUILD_EXTENSION=no "$tmp/venv/bin/pip" wheel --no-deps --wheel-dir "$tmp/wheel" "$tmp/source"
"$tmp/venv/bin/pip" install --target "$site" --python-version "${version#python}" --implementation py --abi none \
    --platform any --only-binary=:all: "$tmp"/wheel/*.whl 'click>=8.2' 'rich>=13.3' 'pytest>=8' 'pytest-timeout>=2.3' \
    'hypothesis>=6.100'
for extension in _codec_c _columns_c; do
    "$tmp/venv/bin/cython" -3 "src/$extension.pyx" -o "$tmp/$extension.c"
    "$triplet-gcc" -shared -fPIC -O2 -g -UNDEBUG -Wno-unreachable-code -fsanitize=undefined \
        -fsanitize-undefined-trap-on-error -Isrc -I"$root/usr/include/$version" -idirafter "$root/usr/include" \
        "$tmp/$extension.c" -o "$site/eslcodec/$extension$suffix"
done

echo "testing with $("${python[@]}" -c 'import sys; print(sys.version.split()[0], sys.byteorder, sys.maxsize)')"
mkdir "$tmp/suite"
cp -R tests examples docs README.md pyproject.toml "$tmp/suite"
cd "$tmp/suite"
export PYTHONPATH=$site ESLCODEC_TEST_REQUIRE_C=1
"${python[@]}" -u -m pytest -q -p no:cacheprovider --assert=plain --timeout=0 @"$OLDPWD/tools/core-tests.txt" "$@"
