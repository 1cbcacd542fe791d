#!/usr/bin/env bash
# Fuzzes one target after another for so many seconds each: `fuzz/run.sh SECONDS [TARGET...]`, by default all. `make fuzz` calls it.
# Inputs that reach new code are kept beside what cargo builds; one that breaks a promise is in fuzz/artifacts, and ends the run.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?for how many seconds?}
shift
if [ $# = 0 ]; then
    mapfile -t targets < <(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"$|\1|p' Cargo.toml)
    set -- "${targets[@]}"
fi
tool=$PWD/../scripts/tool.sh
target=$("${CARGO:-cargo}" metadata --manifest-path ../Cargo.toml --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

for name in "$@"; do
    found=$target/fuzz/corpus/$name
    mkdir -p "$found"
    # Without a sanitizer, which only nightly compilers have: there is no `unsafe` here for one to look at.
    nice -n 19 "$tool" cargo-fuzz fuzz run --fuzz-dir . --sanitizer none --target-dir "$target/fuzz" "$name" "$found" "corpus/$name" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -dict="dictionaries/$name.dict" -print_final_stats=1
done
