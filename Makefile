# Everything that people and CI do here. `make test` is what CI runs.

.PHONY: demo setup lint test bench microbench fuzz

# Seconds that `make fuzz` sends broken input to a running hub.
FUZZ_SECONDS ?= 60

# Publishes the built-in clip: open http://localhost:1554/#/demo/clock
demo:
	cargo run --release -- --demo

# Installs what the tests need and is missing: ffmpeg, GStreamer, Chromium, Node.js, npm packages.
setup:
	tests/setup.sh

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

test: setup lint
	cargo test --workspace
	if [ -x tests/browser/run.sh ]; then tests/browser/run.sh; fi

# What viewers and publishers cost the hub, beside a bare loop of the same bytes: about ten minutes on two quiet cores.
bench:
	cargo build --release -p ipchub -p hub-load
	ulimit -n $$(ulimit -Hn) && target/release/hub-load standard --out benches/RESULTS.md

# What a frame costs before it reaches a socket.
microbench:
	cargo bench

# The mutation tests of the wire formats, then a hub that is fed broken sessions for FUZZ_SECONDS.
fuzz:
	cargo test --release -p ipchub-media -- --include-ignored mutation random every_cut
	FUZZ_SECONDS=$(FUZZ_SECONDS) cargo test --release --test fuzz -- --ignored --nocapture
