#!/usr/bin/env python3
"""Plants the bugs of scripts/mutants.toml one at a time and shows which layer of tests catches each.

    scripts/mutants.py [NAME ...]
    scripts/mutants.py --check          only looks whether each still fits the code; builds nothing

The bugs are planted in a copy of the working tree, which is built beside it and kept for the next run. A bug that no
layer catches, or one that no longer fits the code, fails the run. A layer's letter stands for a catch:

    b  it does not build        u  unit tests, in the module itself
    p  tests of the planner's rules and properties, and contract suites
    s  the storms
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / ".cache" / "mutants"
STORMS = {"storm", "gateway_storm"}
STORM_SEEDS = "60"
# A planted bug may make a test wait for what never comes.
LAYER_SECONDS = 900


def refresh_copy():
    """Brings the copy up to the working tree; files that did not change keep their time, so they are not rebuilt."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    wanted = {name for name in listed if name and (ROOT / name).is_file()}
    for name in wanted:
        source, target = ROOT / name, COPY / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for stale in COPY.glob("crates/**/*.rs"):
        if str(stale.relative_to(COPY)) not in wanted:
            stale.unlink()


def cargo(package, *arguments, seconds=LAYER_SECONDS):
    """Runs cargo test on the copy: whether it succeeded, and the names of the tests that did not."""
    command = ["cargo", "test", "--locked", "--quiet", "--no-fail-fast", "-p", package, *arguments]
    environment = os.environ | {
        "CARGO_TARGET_DIR": str(COPY / "target"),
        "STORM_SEEDS": STORM_SEEDS,
        "RUST_BACKTRACE": "0",
    }
    try:
        run = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return False, ["(no end)"]
    lines = (run.stdout + run.stderr).splitlines()
    failed = sorted({line.split()[1] for line in lines if line.startswith("---- ") and line.endswith(" stdout ----")})
    return run.returncode == 0, failed


def layers(package):
    tests = {path.stem for path in (COPY / package_folder(package) / "tests").glob("*.rs")}
    tests |= {path.parent.name for path in (COPY / package_folder(package) / "tests").glob("*/main.rs")}
    rules = sorted(tests - STORMS)
    yield "u", ["--lib"]
    yield "p", [argument for test in rules for argument in ("--test", test)]
    storms = sorted(tests & STORMS)
    if storms:
        yield "s", [argument for test in storms for argument in ("--test", test)]


def package_folder(package):
    return Path("crates") / package


def judge(mutant):
    """Which layers catch the bug, and by what."""
    package = mutant.get("package", "domain")
    built, _ = cargo(package, "--no-run")
    if not built:
        return "b", ["it does not build"]
    caught, by = "", []
    for letter, arguments in layers(package):
        passed, failed = cargo(package, *arguments)
        if not passed:
            caught += letter
            by += failed
    return caught, by


def misfit(mutant, root):
    """Why the bug cannot be planted in the code as it is, if it cannot."""
    path = root / mutant["file"]
    places = path.read_text().count(mutant["find"]) if path.is_file() else 0
    return None if places == 1 else f"{mutant['name']}: {places} places of {mutant['file']} fit, not one"


def plant(mutant):
    if why := misfit(mutant, COPY):
        sys.exit(why)
    path = COPY / mutant["file"]
    text = path.read_text()
    path.write_text(text.replace(mutant["find"], mutant["plant"]))
    return path, text


def main():
    mutants = tomllib.loads((ROOT / "scripts/mutants.toml").read_text())["mutant"]
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(filter(None, (misfit(mutant, ROOT) for mutant in mutants))) or None)
    chosen = [mutant for mutant in mutants if mutant["name"] in sys.argv[1:] or len(sys.argv) == 1]
    if not chosen:
        sys.exit(f"no such bug; there are {', '.join(mutant['name'] for mutant in mutants)}")
    refresh_copy()
    for package in sorted({mutant.get("package", "domain") for mutant in chosen}):
        passed, failed = cargo(package)
        if not passed:
            sys.exit(f"{package} fails without any planted bug: {', '.join(failed)}")
    escaped = 0
    for number, mutant in enumerate(chosen, start=1):
        path, text = plant(mutant)
        try:
            caught, by = judge(mutant)
        finally:
            path.write_text(text)
        escaped += caught in ("", "b")
        first = f"{by[0]}, {len(by)} in all" if by else "NOTHING"
        print(f"{number}/{len(chosen)}  {caught or '-':3} {mutant['name']:32} {mutant['bug']}; caught by {first}", flush=True)
    if escaped:
        sys.exit(f"{escaped} of {len(chosen)} planted bugs were not caught by a test")
    print(f"all {len(chosen)} planted bugs were caught")


if __name__ == "__main__":
    main()
