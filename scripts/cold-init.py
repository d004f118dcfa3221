#!/usr/bin/env python3
"""How long a function needs from exec to its first question for work, and how large it is then.

    scripts/cold-init.py target/release/device-poller [...]

Each binary is started RUNS times as Lambda does (an empty environment but for its own), against a Runtime API that only
accepts the first GET of the next invocation. Shown are the median time, between which times the middle half of the runs
and all of them lie, the medians of the processor's time till then (which a busy machine lengthens least) and of the
resident memory, and the size of the binary and of its zip. A first run, which fills the page cache, does not count.
"""

import io
import os
import socket
import statistics
import subprocess
import sys
import time
import zipfile

RUNS = 41
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "measured",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "MILLRACE_STACK": "measured",
    "MILLRACE_STATE": "dynamodb:channels=c,tasks=t,gaps=g,control=o",
    "MILLRACE_GATEWAY_PASSWORD_PARAMETER": "/none",
    "MILLRACE_CLUSTER": "none",
    "MILLRACE_TASK_DEFINITION": "none",
    "MILLRACE_TRANSFORM_TASK_DEFINITION": "none",
    "MILLRACE_GATEWAY_LAUNCH_TEMPLATE": "none",
    "MILLRACE_GATEWAY_ADDRESS": "192.0.2.1",
    "MILLRACE_GATEWAY_DRILL_SECURITY_GROUP": "none",
    "MILLRACE_ARCHIVE": "s3://none",
    "MILLRACE_POLL_TOPIC": "none",
}


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def processor_ms(pid):
    """Of all threads, as the scheduler counts them (Linux, Documentation/scheduler/sched-stats.rst)."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat") as schedstat:
            total += int(schedstat.read().split()[0])
    return total / 1e6


def run(binary, listener):
    environment = ENVIRONMENT | {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % listener.getsockname()[1]}
    begin = time.perf_counter()
    process = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL)
    try:
        connection, _ = listener.accept()
        asked = connection.recv(4096)
        took = time.perf_counter() - begin
        if not asked.startswith(b"GET /2018-06-01/runtime/invocation/next"):
            sys.exit(f"{binary} asked {asked!r}")
        return took * 1000, processor_ms(process.pid), resident_kib(process.pid)
    finally:
        process.kill()
        process.wait()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)
    print("| function | exec to first GET | half of the runs | all | processor | RSS | binary | zip |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for binary in sys.argv[1:]:
        runs = [run(binary, listener) for _ in range(RUNS)][1:]
        took, processor, resident = zip(*runs)
        lower, median, upper = statistics.quantiles(took, n=4)
        spread = f"{lower:.1f} to {upper:.1f} | {min(took):.1f} to {max(took):.1f}"
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(binary, "bootstrap")
        sizes = [os.path.getsize(binary), len(packed.getvalue())]
        size, zipped = ("%.1f MB" % (value / 1e6) for value in sizes)
        name = os.path.basename(binary)
        busy, memory = statistics.median(processor), statistics.median(resident) / 1024
        print(f"| {name} | {median:.1f} ms | {spread} | {busy:.1f} ms | {memory:.1f} MiB | {size} | {zipped} |")


if __name__ == "__main__":
    main()
