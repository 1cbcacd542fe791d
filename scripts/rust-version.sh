#!/usr/bin/env bash
# Whether every dependency of each library and command is content with the Rust version that the crate states: `make rust-version`.
# That our own code is, the lint `incompatible_msrv` looks after.
set -euo pipefail
cd "$(dirname "$0")/.."
"${CARGO:-cargo}" metadata --locked --format-version 1 --all-features | python3 -c '
import json, os, sys

metadata = json.load(sys.stdin)
version = lambda text: tuple(int(part) for part in (text + ".0.0").split(".")[:3])
packages = {package["id"]: package for package in metadata["packages"]}
needs = {node["id"]: node for node in metadata["resolve"]["nodes"]}
crates = os.path.join(metadata["workspace_root"], "crates", "")
# Those that are not published yet as well: what they need is no surprise then.
ours = [package for package in metadata["packages"] if package["manifest_path"].startswith(crates)]

failed, seen_at = False, {}
for crate in ours:
    stated, todo, seen = crate["rust_version"], [crate["id"]], set()
    # Behind a feature whose documentation says which Rust it needs.
    later = ((crate["metadata"] or {}).get("rust-version") or {}).get("later", [])
    while todo:
        node = needs[todo.pop()]
        if node["id"] not in seen:
            seen.add(node["id"])
            kinds = lambda dep: {kind["kind"] for kind in dep["dep_kinds"]}
            of_feature = lambda dep: node["id"] == crate["id"] and packages[dep["pkg"]]["name"] in later
            todo += [dep["pkg"] for dep in node["deps"] if kinds(dep) != {"dev"} and not of_feature(dep)]
    seen_at.setdefault(stated, set()).update(seen)
    for package in map(packages.get, seen):
        if version(package["rust_version"] or "1") > version(stated):
            print("{name} {version} needs Rust {rust_version}".format(**package), file=sys.stderr)
            print("{} states Rust {}".format(crate["name"], stated), file=sys.stderr)
            failed = True
if failed:
    sys.exit(1)
for stated, seen in sorted(seen_at.items()):
    print(f"{len(seen)} crates are content with Rust {stated}.")
'
