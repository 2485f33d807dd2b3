#!/usr/bin/env bash
# Installs what the tests need and this machine lacks; says nothing when all is there.
set -eu
cd "$(dirname "$0")"

have() { command -v "$1" >/dev/null 2>&1; }

# An argument per Debian package, as root or through sudo. Mirrors fail now and then: three tries.
install() {
    local root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || { echo "tests/setup.sh: these are missing and only root can install them: $*" >&2; exit 1; }
        root=(sudo)
    fi
    have apt-get || { echo "tests/setup.sh: install these by hand, there is no apt-get here: $*" >&2; exit 1; }
    echo "tests/setup.sh: installing $*"
    local try
    for try in 1 2 3; do
        if "${root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c \
            'apt-get -q update && apt-get -q install -y --no-install-recommends "$@"' sh "$@" </dev/null; then
            return
        fi
        echo "tests/setup.sh: try $try of 3 failed" >&2
        sleep $((try * 5))
    done
    echo "tests/setup.sh: could not install $*" >&2
    exit 1
}

missing=()
have ffmpeg && have ffprobe || missing+=(ffmpeg)
# GStreamer: rtspsrc (good), rtspclientsink (rtsp), H.264 and Opus (bad, base), decoders of H.264, H.265, AAC (libav).
have_element() { gst-inspect-1.0 --exists "$1" 2>/dev/null; }
have gst-launch-1.0 && have gst-inspect-1.0 || missing+=(gstreamer1.0-tools)
have_element opusenc || missing+=(gstreamer1.0-plugins-base)
have_element rtspsrc || missing+=(gstreamer1.0-plugins-good)
have_element openh264enc && have_element h265parse || missing+=(gstreamer1.0-plugins-bad)
have_element avdec_h264 || missing+=(gstreamer1.0-libav)
# What GStreamer speaks TLS with.
{ compgen -G '/usr/lib*/*/gio/modules/libgiognutls.so' || compgen -G '/usr/lib*/*/gio/modules/libgioopenssl.so'; } >/dev/null \
    || missing+=(glib-networking)
have_element rtspclientsink || missing+=(gstreamer1.0-rtsp)
have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
have curl || missing+=(curl)
have openssl || missing+=(openssl)
have python3 || missing+=(python3)
have ip || missing+=(iproute2)
# It counts instructions: what a viewer costs, however busy the machine is.
have valgrind || missing+=(valgrind)
have gst-launch-1.0 || missing+=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad)
have node || missing+=(nodejs)
have npm || missing+=(npm)
{ have python3 && python3 -c 'import venv, ensurepip' 2>/dev/null; } || missing+=(python3 python3-venv)
# Pages without any font show no text: screenshots would be empty, and the demo's clock is drawn with this one.
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || missing+=(fonts-dejavu-core)
if [ "${#missing[@]}" -gt 0 ]; then
    install "${missing[@]}"
fi

# npm writes its own lock file when it has installed everything.
installed=browser/node_modules/.package-lock.json
if [ -e browser/package-lock.json ] && { [ ! -e "$installed" ] || [ browser/package-lock.json -nt "$installed" ]; }; then
    (cd browser && npm ci --no-audit --no-fund </dev/null)
    touch "$installed"
fi

# schemathesis asks a hub what its description allows; the copied list says that all of it is there.
if ! cmp -s schemathesis/requirements.txt schemathesis/venv/installed.txt; then
    python3 -m venv --clear schemathesis/venv
    schemathesis/venv/bin/pip install -q --disable-pip-version-check -r schemathesis/requirements.txt </dev/null
    cp schemathesis/requirements.txt schemathesis/venv/installed.txt
fi
