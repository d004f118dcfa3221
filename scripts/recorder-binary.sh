#!/usr/bin/env bash
# Builds what the recorder's images are made of: scripts/recorder-binary.sh amd64|arm64
# Leaves in container/build/ARCH: millrace-recorder (static, for AWS), ffmpeg (static), certificates.pem, spool/ (empty).
# Either architecture builds on either: zig, from PyPI, is the C compiler (for ring) and the linker.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=.cache/recorder-tools-1
certifi=2026.10.18
zig=0.13.0 zigbuild=0.24.0
imageio_ffmpeg=0.7.0 # holds ffmpeg 7.0.2

case "${1-}" in
amd64)
    target=x86_64-unknown-linux-musl wheel=manylinux2014_x86_64
    wheel_sha256=4e1f36bef7bedd4bc5dc25f60a8345d88f57133fa1e754f09b411ac61b854408
    ;;
arm64)
    target=aarch64-unknown-linux-musl wheel=manylinux2014_aarch64
    wheel_sha256=588a23c6a1c55a7cb51febfe97d3ef8dd5e7fa0ef7e14c7da8828e2886bdd3a3
    ;;
*)
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
folder=container/build/$1

add_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target"
}

# One static file out of a wheel, whose content is known.
fetch_ffmpeg() {
    local into=.cache/ffmpeg-$imageio_ffmpeg-$1
    if [ ! -e "$into/ffmpeg" ]; then
        rm -rf "$into"
        mkdir -p "$into"
        echo "imageio-ffmpeg==$imageio_ffmpeg --hash=sha256:$wheel_sha256" >"$into/requirements.txt"
        "$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
            --platform "$wheel" --require-hashes --requirement "$into/requirements.txt" --dest "$into"
        python3 - "$into" <<'PYTHON'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
[wheel] = folder.glob("*.whl")
archive = zipfile.ZipFile(wheel)
[name] = [name for name in archive.namelist() if "/binaries/ffmpeg-" in name]
(folder / "ffmpeg.part").write_bytes(archive.read(name))
(folder / "ffmpeg.part").chmod(0o755)
(folder / "ffmpeg.part").rename(folder / "ffmpeg")
wheel.unlink()
PYTHON
    fi
    cp "$into/ffmpeg" "$folder/ffmpeg"
}

scripts/venv.sh "$tools" "certifi==$certifi" "ziglang==$zig" "cargo-zigbuild==$zigbuild"
add_target
rm -rf "$folder"
mkdir -p "$folder/spool"
fetch_ffmpeg "$1"
cp "$("$tools/bin/python" -m certifi)" "$folder/certificates.pem"
PATH=$PWD/$tools/bin:$PATH cargo zigbuild --locked --release --target "$target" \
    --package recorder --no-default-features --features aws
cp "${CARGO_TARGET_DIR:-target}/$target/release/millrace-recorder" "$folder/"
echo "$folder/millrace-recorder: $(stat -c %s "$folder/millrace-recorder") bytes"
