"""Measure chaos-backup-check on a gigabyte beside what people check backups with: in turn, medians of 5.

usage: backup.py CHAOS-BACKUP-CHECK FOLDER PG_RESTORE   (run by backup.sh, whose FOLDER backup-data.sh fills)

Wall time is from start to end of a command; processor time is of it and what it starts, on all cores. The peers
check less: none of them makes a digest, counts rows, or looks at what is behind the end of a dump."""

import os
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 5


def run(command):
    """Seconds of one run, and of processors in it; one that fails says nothing."""
    before, start = os.times(), time.perf_counter()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    code = subprocess.run(command, **quiet).returncode
    wall, after = time.perf_counter() - start, os.times()
    if code != 0:
        sys.exit(f"backup.py: {command} ends with {code}, so its time says nothing")
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def in_turn(commands):
    """Medians of wall and processor time of each, run in turn, after one run of each that does not count."""
    for command in commands:
        run(command)
    rounds = [[run(command) for command in commands] for _ in range(RUNS)]
    return [tuple(statistics.median(side) for side in zip(*results)) for results in zip(*rounds)]


def peak(command):
    """Peak memory in MiB, the most of three runs."""
    with tempfile.NamedTemporaryFile("r") as file:
        for _ in range(3):
            run(["/usr/bin/time", "--append", "--output", file.name, "--format", "%M", *command])
        return max(int(line) for line in file) / 1024


def check(tool, path, kind, work):
    """The command that checks one file and nothing else."""
    config = os.path.join(work, os.path.basename(path) + ".toml")
    with open(config, "w") as file:
        file.write(f'[application]\nnamespace = "bench"\n[[backup]]\nname = "bench"\nkind = "{kind}"\npath = "{path}"\nmax_age = "87600h"\n')
    return [tool, "-o", "json", "--config", config]


def verdict(reached):
    return "reached" if reached else "NOT REACHED"


def table(title, names, commands):
    results = in_turn(commands)
    print(title)
    for name, (wall, processor) in zip(names, results):
        print(f"  {name:36} {wall:7.2f} s  {processor:7.2f} s of processors  {wall / results[0][0]:6.2f}")
    return [wall / results[0][0] for wall, _ in results]


def main():
    tool, folder, pg_restore = sys.argv[1:]
    path = lambda name: os.path.join(folder, name)
    with tempfile.TemporaryDirectory() as work:
        print(f"machine: {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; medians of {RUNS} runs in turn\n")
        large = path("large.tar.gz")
        ours = check(tool, large, "tar", work)
        ratios = table(
            f"tar.gz of a gigabyte ({os.path.getsize(large) / 1e6:.0f} MB)",
            ["chaos-backup-check", "tar -tzf", "igzip -t", "gzip -t"],
            [ours, ["tar", "-tzf", large], ["igzip", "-t", large], ["gzip", "-t", large]],
        )
        print(f"  {ratios[1]:.1f} times as fast as tar -tzf (wanted: 3): {verdict(ratios[1] >= 3)}")
        print(f"  {ratios[2]:.2f} times as fast as igzip -t (wanted: 0.6): {verdict(ratios[2] >= 0.6)}")
        small = check(tool, path("small.tar.gz"), "tar", work)
        memory = peak(ours), peak(small)
        print(f"  peak memory {memory[0]:.1f} MiB, of a tenth of it {memory[1]:.1f} MiB (wanted: below 16): {verdict(max(memory) < 16)}\n")
        for codec in ["gzip", "zstd", "lz4", "none"]:
            dump = path(f"{codec}.dump")
            ours = check(tool, dump, "postgres", work)
            ratios = table(
                f"PostgreSQL dump, {codec} ({os.path.getsize(dump) / 1e6:.0f} MB)",
                ["chaos-backup-check", "pg_restore -f /dev/null"],
                [ours, [pg_restore, "-f", "/dev/null", dump]],
            )
            wanted = f" (wanted: 2): {verdict(ratios[1] >= 2)}" if codec == "gzip" else ""
            print(f"  {ratios[1]:.1f} times as fast{wanted}; peak memory {peak(ours):.1f} MiB\n")


if __name__ == "__main__":
    main()
