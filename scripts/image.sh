#!/usr/bin/env bash
# Builds the recorder's images: scripts/image.sh [amd64] [arm64], both when none is named.
# Tags: millrace-recorder:ARCH and millrace-transform:ARCH, in the engine that `scripts/engine.sh with` finds.
set -euo pipefail
cd "$(dirname "$0")/.."

# An image of no layer, which only says for which architecture it is (image specification of Docker, version 1.2).
load_empty() {
    local files
    files=$(mktemp -d)
    echo "{\"architecture\":\"$1\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}" \
        >"$files/config.json"
    echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$2\"],\"Layers\":[]}]" >"$files/manifest.json"
    tar --directory "$files" --create config.json manifest.json | docker load --quiet >/dev/null
    rm -rf "$files"
}

build() {
    local target empty=millrace-empty:$1
    load_empty "$1" "$empty"
    for target in recorder transform; do
        docker build --quiet --platform "linux/$1" --build-arg "EMPTY=$empty" \
            --target "$target" --tag "millrace-$target:$1" \
            --file container/Dockerfile "container/build/$1" >/dev/null
        docker image inspect --format "{{index .RepoTags 0}} {{.Architecture}} {{.Size}} bytes" "millrace-$target:$1"
    done
}

[ $# -gt 0 ] || set -- amd64 arm64
if [ -z "${MILLRACE_IN_ENGINE-}" ]; then
    for arch in "$@"; do scripts/recorder-binary.sh "$arch"; done
    exec env MILLRACE_IN_ENGINE=1 scripts/engine.sh with "$0" "$@"
fi
for arch in "$@"; do build "$arch"; done
