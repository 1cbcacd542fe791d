#!/usr/bin/env bash
# Whether every dependency of the published crates is content with the Rust version that they state: `make rust-version`.
# That our own code is, the lint `incompatible_msrv` looks after.
set -euo pipefail
cd "$(dirname "$0")/.."
"${CARGO:-cargo}" metadata --locked --format-version 1 --all-features | python3 -c '
import json, sys

metadata = json.load(sys.stdin)
version = lambda text: tuple(int(part) for part in (text + ".0.0").split(".")[:3])
packages = {package["id"]: package for package in metadata["packages"]}
needs = {node["id"]: node for node in metadata["resolve"]["nodes"]}
published = [package for package in metadata["packages"] if package["source"] is None and package["publish"] is None]
stated = {package["rust_version"] for package in published}
if len(stated) != 1:
    sys.exit(f"the published crates state several Rust versions: {stated}")
stated = stated.pop()

todo, seen = [package["id"] for package in published], set()
while todo:
    node = needs[todo.pop()]
    if node["id"] not in seen:
        seen.add(node["id"])
        kinds = lambda dep: {kind["kind"] for kind in dep["dep_kinds"]}
        todo += [dep["pkg"] for dep in node["deps"] if kinds(dep) != {"dev"}]
newer = [package for package in map(packages.get, seen) if version(package["rust_version"] or "1") > version(stated)]
for package in newer:
    print("{name} {version} needs Rust {rust_version}".format(**package), file=sys.stderr)
if newer:
    sys.exit(f"the published crates state Rust {stated}")
print(f"{len(seen)} crates are content with Rust {stated}.")
'
