#!/usr/bin/env python3
"""Damages good backups in every way that happens, and counts who sees it.

usage: truth.py CHECK GOOD... [--damaged N] [--schema-only FOLDER] [--peers] [--seed N]

CHECK is chaos-backup-check; each GOOD is a folder of good backups (make-good.sh makes one) or a file.
Without --peers only CHECK is asked. Ends with 1 if it passed a damaged backup that it could have seen, or
failed a good one.
"""
import argparse, bz2, collections, gzip, json, lzma, os, random, shutil, subprocess, sys, tempfile, time

HOUR = 3600
# `file` is the one of a folder that is damaged.
Case = collections.namedtuple("Case", "kind source shown make file", defaults=[""])


def is_tar(name):
    return ".tar" in name


def is_objects(name):
    return name.endswith((".yaml", ".json"))


def database(name):
    part = name.split("-")
    return part[1] if name.startswith("pg") and part[1] in ("shop", "files", "legacy", "odd") else None


def checksum(name):
    """Whether all bytes have a checksum: gzip's, or that of the programs zstd and lz4, which is their default."""
    outer = name.endswith((".gz", ".zst", ".lz4", ".xz", ".bz2"))
    return outer and (name.endswith((".gz", ".xz", ".bz2")) or (("whole" in name or is_tar(name)) and "no-check" not in name))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def begun_now(data):
    """A dump, or a table of contents, with another time in its header: fixtures are old."""
    if data[:5] != b"PGDMP":
        return data
    now, at = time.gmtime(), 16 if data[6] < 15 else 12
    fields = (now.tm_sec, now.tm_min, now.tm_hour, now.tm_mday, now.tm_mon - 1, now.tm_year - 1900)
    return data[:at] + b"".join(b"\0" + value.to_bytes(4, "little") for value in fields) + data[at + 30 :]


def payload(name, data):
    """How many bytes carry anything: a tar archive is padded."""
    return len(data.rstrip(b"\0")) if name.endswith((".tar", "-tar.dump")) or "padded" in name else len(data)


def file_cases(name, data, random):
    """Ways to damage the bytes of one file: kind, whether its format shows it, the damaged bytes."""
    size = payload(name, data)
    if is_objects(name):
        yield from objects_cases(name, data, random)
        return
    cuts = {0, 1, size - 1, size - 2, size // 10, size // 2, size * 99 // 100, random.randrange(size), random.randrange(size)}
    for at in sorted(cuts):
        yield ("empty" if at == 0 else "cut"), True, data[:at]
    yield "appended", True, data + b"x"
    yield "appended", True, data + random.randbytes(random.randrange(1, 5000))
    yield "doubled", True, data + data
    if name.endswith(".tar"):
        for _ in range(3):
            yield "cut at a block", True, data[: random.randrange(1, size // 512) * 512]
    if name.endswith(".tar.gz"):
        plain = gzip.decompress(data)
        end = len(plain.rstrip(b"\0"))
        for _ in range(3):
            yield "cut before it was compressed", True, gzip.compress(plain[: random.randrange(1, end // 512) * 512])
        yield "cut before it was compressed", True, gzip.compress(b"")
        yield "cut before it was compressed", True, gzip.compress(bytes(10240))
    sure = checksum(name)
    data_sure = sure or (name.endswith(".dump") and "gzip" in name)
    for _ in range(3):
        at, length = random.randrange(size), random.choice([16, 64, 512])
        zeroed = data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
        if zeroed != data:
            yield "zeroed range", sure, zeroed
    places = [("bit in the head", random.randrange(min(size, 2000)), sure), ("bit in the trailer", size - 1 - random.randrange(min(size, 8)), sure)]
    # The second half of a dump with much data is data.
    places += [("bit in the data", random.randrange(size // 2, max(size - 16, size // 2 + 1)), data_sure and ("shop" in name or "files" in name or sure)) for _ in range(4)]
    for kind, at, shown in places:
        flipped = bytearray(data)
        flipped[at] ^= 1 << random.randrange(8)
        yield kind, shown, bytes(flipped)


def objects_cases(name, data, random):
    """Documents of YAML stand for themselves, so that only a list and JSON show that some are missing. Nothing
    shows that a value is another one."""
    size = len(data)
    # kubectl puts the kind of a list behind its items; what follows it is nothing of theirs.
    end = data.rfind(b"\nkind: List") if name.endswith("list.yaml") else size if name.endswith(".json") else 0
    lines = [at + 1 for at, byte in enumerate(data) if byte == 10]
    for at in sorted({0, 1, size // 2, *random.sample(range(size), 6), *random.sample(lines[:-1], 6)}):
        whole = data[:at].rstrip() == data.rstrip()
        if not whole:
            yield ("empty" if at == 0 else "cut"), at == 0 or at < end, data[:at]
    yield "appended", True, data + b"x"
    yield "appended", True, data + random.randbytes(300)
    yield "doubled", True, data + data
    for _ in range(3):
        at = random.randrange(size - 20)
        yield "zeroed range", True, data[:at] + bytes(16) + data[at + 16 :]
    for kind, at in [("bit in the head", random.randrange(40)), *[("bit in the data", random.randrange(size)) for _ in range(6)]]:
        flipped = bytearray(data)
        flipped[at] ^= 1 << random.randrange(8)
        yield kind, False, bytes(flipped)


def same_content(name, one, other):
    """Whether a change behind compression changes nothing: there are bits that nobody reads."""
    unpack = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress, ".zst": zstd, ".lz4": lz4}
    for ending, unpacked in unpack.items():
        if name.endswith(ending):
            try:
                return unpacked(one) == unpacked(other)
            except Exception:
                return False
    return False


def by_program(*command):
    return lambda data: subprocess.run(command, input=data, capture_output=True, check=True).stdout


zstd, lz4 = by_program("zstd", "-dcq"), by_program("lz4", "-dcq")


def cases(path, others, schemas, random):
    name = os.path.basename(path)
    made = []
    if os.path.isdir(path):
        files = sorted(os.listdir(path))
        data_files = [file for file in files if file != "toc.dat" and os.path.getsize(os.path.join(path, file)) > 30]

        def with_file(file, data):
            def make(to):
                shutil.copytree(path, to)
                write(os.path.join(to, file), data)
            return make

        def without(file):
            def make(to):
                shutil.copytree(path, to)
                os.remove(os.path.join(to, file))
            return make

        for file in random.sample(data_files, min(2, len(data_files))):
            for kind, shown, data in file_cases(file, read(os.path.join(path, file)), random):
                # A cut file of zstd or lz4 ends without its end mark.
                if not same_content(file, data, read(os.path.join(path, file))) and not (kind == "empty" and file.startswith("blob_")):
                    uncompressed_blob = file.startswith("blob_") and file.endswith(".dat")
                    made.append(Case(kind, path, shown and not uncompressed_blob, with_file(file, data), file))
            made.append(Case("file missing", path, True, without(file)))
        made.append(Case("file missing", path, True, without("toc.dat")))
        toc = read(os.path.join(path, "toc.dat"))
        for at in (0, 10, len(toc) // 2, len(toc) - 1):
            made.append(Case("cut", path, True, with_file("toc.dat", toc[:at])))
        made.append(Case("appended", path, True, with_file("toc.dat", toc + b"x")))
        made.append(Case("file of another dump", path, True, with_file("99999.dat", b"1\n\\.\n\n\n")))
    else:
        data = read(path)
        for kind, shown, damaged in file_cases(name, data, random):
            if not same_content(name, damaged, data):
                made.append(Case(kind, path, shown, lambda to, damaged=damaged: write(to, damaged)))
    copy = lambda source: (lambda to: shutil.copytree(source, to) if os.path.isdir(source) else shutil.copyfile(source, to))
    kind = lambda name: (is_tar(name), is_objects(name))
    other = random.choice([other for other in others if kind(other) != kind(name)] or [path])
    if other != path:
        made.append(Case("swapped with another kind", path, True, copy(other)))
    wrong = [other for other in others if database(os.path.basename(other)) not in (None, database(name))]
    if wrong and database(name):
        other = random.choice(wrong)
        says = other.endswith((".dump", ".folder", ".dump.zst"))
        made.append(Case("wrong database", path, says, copy(other)))
    alike = [schema for schema in schemas if os.path.basename(schema).rsplit(".", 1) == [name.split(".")[0], name.split(".")[-1]]]
    made += [Case("schema only", path, True, copy(schema)) for schema in alike]
    made.append(Case("stale", path, True, copy(path)))
    return made


def configuration(entries, folder):
    text = '[application]\nnamespace = "truth"\n'
    # Many damaged backups are of one good one: each has a name of its own.
    for number, (name, path) in enumerate(entries):
        kind = "tar" if is_tar(name) else "kubernetes" if is_objects(name) else "postgres"
        text += f'[[backup]]\nname = "{number}-{name}"\nkind = "{kind}"\npath = "{path}"\nmax_age = "24h"\n'
        if kind == "postgres" and database(name):
            text += f'database = "{database(name)}"\n'
    path = os.path.join(folder, "chaos.toml")
    write(path, text.encode())
    return path


def ask(check, entries, folder):
    """Those of the paths that pass, and why the others do not."""
    run = subprocess.run([check, "-o", "json", "--config", configuration(entries, folder)], capture_output=True, stdin=subprocess.DEVNULL)
    if run.returncode not in (0, 1, 3):
        sys.exit(f"{check} ended with {run.returncode}: {run.stderr.decode()}")
    checks = json.loads(run.stdout.splitlines()[-1])["data"]["checks"]
    bad = {c.get("object"): c for c in checks if c["status"] in ("fail", "unknown") and c["id"] != "backup.tool"}
    seen = {c.get("object") for c in checks}
    missing = [path for _, path in entries if path not in seen]
    if missing:
        sys.exit(f"{check} says nothing of {missing[0]}")
    return bad


def succeeds(*command):
    """Of some damaged archives in tar format, pg_restore reads without an end: it does not pass them."""
    nothing = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    try:
        return subprocess.run(command, **nothing, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def age(path, seconds):
    then = time.time() - seconds
    for file in [os.path.join(path, file) for file in os.listdir(path)] if os.path.isdir(path) else []:
        os.utime(file, (then, then))
    os.utime(path, (then, then))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("check")
    parser.add_argument("good", nargs="+")
    parser.add_argument("--damaged", type=int, default=2000)
    parser.add_argument("--schema-only", help="a folder of dumps without data: NAME.dump beside the good NAME.dump")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rnd = random.Random(args.seed)
    good = []
    for path in args.good:
        listed = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) and not os.path.exists(os.path.join(path, "toc.dat")) else [path]
        good += sorted(os.path.abspath(path) for path in listed)
    work = tempfile.mkdtemp(prefix="truth-")
    try:
        sys.exit(run(args, rnd, good, work))
    finally:
        shutil.rmtree(work)


def run(args, rnd, good, work):
    # Good ones first, sealed and not: a false alarm is a fault as well.
    here = os.path.join(work, "good")
    os.mkdir(here)
    kept = []
    for source in good:
        path = os.path.join(here, os.path.basename(source))
        shutil.copytree(source, path) if os.path.isdir(source) else shutil.copyfile(source, path)
        for file in [path, os.path.join(path, "toc.dat")]:
            if os.path.isfile(file):
                write(file, begun_now(read(file)))
        age(path, HOUR)
        kept.append(path)
    entries = [(os.path.basename(path), path) for path in kept]
    alarms = list(ask(args.check, entries, work).values())
    sealed = subprocess.run([args.check, "seal", "--config", configuration(entries, work), *kept], capture_output=True, stdin=subprocess.DEVNULL)
    if sealed.returncode != 0:
        sys.exit(f"cannot seal: {sealed.stderr.decode()}")
    alarms += ask(args.check, entries, work).values()
    print(f"{len(kept)} good backups, each without and with a manifest: {len(alarms)} false alarms")
    for alarm in alarms[:20]:
        print(f"  FALSE ALARM: {alarm['object']}: {alarm['id']}: {alarm['message']}")

    schemas = sorted(os.path.join(args.schema_only, name) for name in os.listdir(args.schema_only)) if args.schema_only else []
    everything = [case for path in kept for case in cases(path, kept, schemas, rnd)]
    rnd.shuffle(everything)
    # Each kind as often as there are ways to it.
    chosen = everything[: args.damaged]
    table = collections.defaultdict(collections.Counter)
    misses = []
    for start in range(0, len(chosen), 200):
        batch, bare, with_manifest = [], [], []
        for number, case in enumerate(chosen[start : start + 200], start):
            name = os.path.basename(case.source)
            folders = [os.path.join(work, f"{number}-bare"), os.path.join(work, f"{number}-sealed")]
            for folder in folders:
                os.mkdir(folder)
                path = os.path.join(folder, name)
                case.make(path)
                age(path, 72 * HOUR if case.kind == "stale" else HOUR)
            manifest = json.loads(read(case.source + ".manifest.json"))
            if case.kind == "stale":
                manifest["made"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 72 * HOUR))
            write(os.path.join(folders[1], name + ".manifest.json"), json.dumps(manifest).encode())
            batch.append((case, folders, name))
            bare.append((name, os.path.join(folders[0], name)))
            with_manifest.append((name, os.path.join(folders[1], name)))
        seen, seen_sealed = ask(args.check, bare, work), ask(args.check, with_manifest, work)
        for case, folders, name in batch:
            row = table[case.kind]
            row["n"] += 1
            path, sealed_path = os.path.join(folders[0], name), os.path.join(folders[1], name)
            if sealed_path not in seen_sealed:
                row["manifest"] += 1
                misses.append(f"with a manifest: {case.kind}: {os.path.join(name, case.file)}")
            row["shown"] += case.shown
            if path not in seen:
                row["bare shown" if case.shown else "bare rest"] += 1
                if case.shown:
                    misses.append(f"without a manifest: {case.kind}: {os.path.join(name, case.file)}")
            if args.peers and name.endswith((".dump", ".folder")):
                row["pg n"] += 1
                row["pg list"] += succeeds("pg_restore", "--list", path)
                row["pg null"] += succeeds("pg_restore", "-f", "/dev/null", path)
            elif args.peers and name.endswith((".tar", ".tar.gz", ".tar.zst")):
                row["tar n"] += 1
                row["tar"] += succeeds("tar", "-tf", path)
            for folder in folders:
                shutil.rmtree(folder)
    report(args, table, misses)
    return 1 if misses or alarms else 0


def report(args, table, misses):
    of = lambda missed, n: f"{missed}/{n}" if n else "-"
    head = ["damage", "made", "missed with manifest", "without, shown by the format", "without, the rest"]
    peers = ["pg_restore --list", "pg_restore -f /dev/null", "tar -t"] if args.peers else []
    rows = [head + peers]
    total = collections.Counter()
    for kind, row in [*sorted(table.items()), ("all", total)]:
        if kind != "all":
            total.update(row)
        cells = [kind, row["n"], of(row["manifest"], row["n"]), of(row["bare shown"], row["shown"]), of(row["bare rest"], row["n"] - row["shown"])]
        cells += [of(row["pg list"], row["pg n"]), of(row["pg null"], row["pg n"]), of(row["tar"], row["tar n"])] if args.peers else []
        rows.append([str(cell) for cell in cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for miss in misses[:30]:
        print(f"  FALSE PASS {miss}")


main()
