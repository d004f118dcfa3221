#!/usr/bin/env bash
# Puts the images that scripts/image.sh has built to the test, as ECS runs them: scripts/image-test.sh [amd64|arm64]
# No right but to run, a root file system that cannot be written, and nothing to talk to.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=${1:-amd64}
if [ -z "${MILLRACE_IN_ENGINE-}" ]; then
    exec env MILLRACE_IN_ENGINE=1 scripts/engine.sh with "$0" "$arch"
fi

recorder=millrace-recorder:$arch transform=millrace-transform:$arch
recorder_bytes_max=15000000  # it is pulled at every start of a task
transform_bytes_max=100000000
container=
listing=$(mktemp)
trap 'rm -f "$listing"; [ -z "$container" ] || docker rm --force --volumes "$container" >/dev/null' EXIT

fail() {
    echo "image-test: $*" >&2
    [ -z "$container" ] || docker logs "$container" >&2 || true
    exit 1
}

size_of() { docker image inspect --format '{{.Size}}' "$1"; }

# What ECS gives a container, but for tables and an archive that answer: that they do not is no reason to end.
create() {
    container=$(docker create --network none --read-only --cap-drop ALL --security-opt no-new-privileges \
        --volume /spool --env MILLRACE_TASK_ARN=image-test \
        --env MILLRACE_STATE=dynamodb:tasks=t,gaps=g,control=c --env MILLRACE_ARCHIVE=s3://bucket \
        --env MILLRACE_GATEWAY_PASSWORD=not-in-the-log \
        --env AWS_ENDPOINT_URL=http://127.0.0.1:9 --env AWS_REGION=us-east-1 \
        --env AWS_ACCESS_KEY_ID=test --env AWS_SECRET_ACCESS_KEY=test "$recorder")
}

# A recording that waits for the archive: it keeps a recorder from ending.
leave_a_recording() {
    local folder=image-test/CAM/1 name=20261121T024746.000Z_6000_1.mp4 files
    files=$(mktemp -d)
    mkdir -p "$files/$folder"
    echo video >"$files/$folder/$name"
    cat >"$files/$folder/$name.json" <<'JSON'
{"captured_at":"2026-11-21T02:47:46Z","codecs":"avc1.64001f","sha256":"00","origin":"live","clock_drift_ms":0}
JSON
    tar --directory "$files" --owner 65532 --group 65532 --create image-test | docker cp - "$container:/spool"
    rm -rf "$files"
}

lives() {
    docker start "$container" >/dev/null
    local nth
    for nth in $(seq 100); do
        if docker exec "$container" /millrace-recorder health 2>/dev/null; then return; fi
        sleep 0.1
    done
    fail "no sign of life after $nth looks"
}

terminate() { docker kill --signal TERM "$container" >/dev/null; }

ended_with() {
    local code
    code=$(timeout 60 docker wait "$container") || fail "it did not end"
    [ "$code" = "$1" ] || fail "it ended with $code, not $1"
    if docker logs "$container" 2>&1 | grep -q not-in-the-log; then fail "the password is in the log"; fi
    docker rm --volumes "$container" >/dev/null
    container=
}

[ "$(size_of "$recorder")" -le "$recorder_bytes_max" ] || fail "$recorder is larger than $recorder_bytes_max bytes"
[ "$(size_of "$transform")" -le "$transform_bytes_max" ] || fail "$transform is larger than $transform_bytes_max bytes"
echo "$recorder has $(size_of "$recorder") bytes, $transform $(size_of "$transform")"

create
docker export "$container" | tar --list >"$listing"
others=$(grep -v -E '^(\.dockerenv|(dev|etc|proc|sys|spool)/.*)$' "$listing" | tr '\n' ' ')
[ "$others" = "millrace-recorder " ] || fail "there is more in it than the program: $others"
[ "$(docker image inspect --format '{{.Config.User}}' "$recorder")" = 65532:65532 ] || fail "its user is not a plain one"
lives
terminate
ended_with 0
echo "it lives without a shell, a right or a root file system to write to; SIGTERM ends it with 0"

create
leave_a_recording
lives
terminate
sleep 2
[ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ] || fail "it ended before its recording was uploaded"
terminate
ended_with 130
echo "it does not end before its recordings are uploaded, unless a second SIGTERM says so"

for codec in libx264 libx265; do
    docker run --rm --network none --read-only --entrypoint /usr/bin/ffmpeg "$transform" -loglevel error \
        -f lavfi -i testsrc=duration=1 -f lavfi -i sine=duration=1 -c:v "$codec" -c:a aac -f mp4 \
        -movflags empty_moov+default_base_moof pipe:1 >"$listing" 2>/dev/null
    [ -s "$listing" ] || fail "ffmpeg makes nothing by $codec"
done
echo "the transform image encodes H.264, H.265 and AAC"
