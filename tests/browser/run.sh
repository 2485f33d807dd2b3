#!/usr/bin/env bash
# Runs the browser tests, or the files given as arguments. The hub must have been built: this builds nothing.
#
#   IPCHUB    the binary; else target/debug/ipchub (CARGO_TARGET_DIR counts)
#   CHROMIUM  the browser; else the one in PATH
set -eu
cd "$(dirname "$0")/../.."
root=$PWD
case ${IPCHUB:=${CARGO_TARGET_DIR:-target}/debug/ipchub} in
    /*) ;;
    *) IPCHUB=$root/$IPCHUB ;;
esac
export IPCHUB
if [ ! -x "$IPCHUB" ]; then
    echo "tests/browser/run.sh: there is no $IPCHUB: run \`cargo build\` first, or name the hub in IPCHUB" >&2
    exit 1
fi
cd tests/browser
if [ ! -e node_modules/.package-lock.json ]; then
    npm ci --no-audit --no-fund </dev/null
fi
if [ "$#" -eq 0 ]; then
    set -- *.test.mjs
fi
# One file after the other: delays are measured, and the machine may have two cores.
exec node --test --test-concurrency=1 --test-reporter=spec "$@" </dev/null
