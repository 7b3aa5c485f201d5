#!/usr/bin/env bash
# Run the tests on an interpreter without the GIL, with the compiled core: free-threaded.sh [--tsan] [PYTEST ARGS]
# Without arguments it is the whole suite. PYTHON=python3.14t takes that interpreter; otherwise CPython 3.13t is built
# from Debian's sources, which takes minutes. With --tsan it and the core have ThreadSanitizer in them; every report that
# names the core is an error, those about CPython itself are not ours. docs/portability.md has the results.
#
# To build it, on Debian and Ubuntu: apt install build-essential dpkg-dev debian-archive-keyring libssl-dev zlib1g-dev
# libffi-dev libbz2-dev liblzma-dev libsqlite3-dev. Needs no root and changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

tsan=
if [ "${1:-}" = --tsan ]; then tsan=yes; shift; fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 PIP_ROOT_USER_ACTION=ignore
unset PYTHONPATH ESLCODEC_IMPL

build_python() {
    echo 'fetching the sources of CPython'
    mkdir -p "$tmp"/apt/{lists,archives}/partial
    : >"$tmp/apt/status"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
        >"$tmp/apt/sources.list"
    apt() {
        apt-get -qq -o APT::Sandbox::User= -o Dir::Etc::SourceList="$tmp/apt/sources.list" -o Dir::Etc::SourceParts=- \
            -o Dir::State="$tmp/apt" -o Dir::State::status="$tmp/apt/status" -o Dir::Cache="$tmp/apt" "$@"
    }
    apt update
    (cd "$tmp" && apt source --download-only python3.13)
    mkdir "$tmp/cpython"
    tar -xf "$tmp"/python3.13_*.orig.tar.xz -C "$tmp/cpython" --strip-components=1
    echo "building it${tsan:+ with ThreadSanitizer}"
    (
        cd "$tmp/cpython"
        ./configure --disable-gil ${tsan:+--with-thread-sanitizer} CFLAGS=-O1
        make -j"$(nproc)"  # and no `make install`, which would compile all of the library once more
    ) >"$tmp/said" 2>&1 || { tail -30 "$tmp/said"; echo 'CPython cannot be built' >&2; exit 1; }
    PYTHON=$tmp/cpython/python
}
[ -n "${PYTHON:-}" ] || build_python
"$PYTHON" - "$tsan" <<'CHECK'
import sys, sysconfig
if getattr(sys, "_is_gil_enabled", lambda: True)():
    sys.exit(f"{sys.executable} is not free-threaded, or was told to keep the GIL")
if sys.argv[1] and "--with-thread-sanitizer" not in sysconfig.get_config_var("CONFIG_ARGS"):
    sys.exit(f"{sys.executable} was built without ThreadSanitizer")
CHECK

echo 'installing'
"$PYTHON" -m venv "$tmp/venv"
mkdir "$tmp/source" "$tmp/suite"
cp -R LICENSE README.md pyproject.toml setup.py src eslcodec "$tmp/source"
rm -f "$tmp"/source/eslcodec/_co{dec,lumns}_c*
# Some of what the tests need comes no longer as a wheel for 3.13t: an older one of it does.
ESLCODEC_BUILD_EXTENSION=yes "$tmp/venv/bin/pip" install --prefer-binary "$tmp/source[test]"
cp -R tests examples docs README.md pyproject.toml "$tmp/suite"
cd "$tmp/suite"
echo "testing with $("$tmp/venv/bin/python" -c 'import sys; print(sys.version)')"
export ESLCODEC_TEST_REQUIRE_C=1
echo 'race:^copy_base$' >"$tmp/suppressions"  # tests that write, through a memoryview, where another thread writes too
[ -z "$tsan" ] || export TSAN_OPTIONS="suppressions=$tmp/suppressions log_path=$tmp/tsan exitcode=0 history_size=4"
# The tests' own tools may bring the GIL back; the core may not, which test_threads asks.
failed=0
PYTHON_GIL=0 "$tmp/venv/bin/pytest" -q -p no:cacheprovider "$@" || failed=$?
[ -n "$tsan" ] || exit "$failed"
if grep -lE '_co(dec|lumns)_c' "$tmp"/tsan.* 2>/dev/null >"$tmp/reports"; then
    xargs cat <"$tmp/reports"
    echo 'ThreadSanitizer found a race in the compiled core' >&2
    exit 1
fi
echo 'ThreadSanitizer: nothing about the compiled core'
exit "$failed"
