#!/usr/bin/env python3
"""Make an image archive from layer tars, without a builder.

usage: image.py OUT.tar REFERENCE CONFIG-JSON LAYER.tar...

CONFIG-JSON is the image's "config" (Cmd, Env, ...). The archive has docker's
format, which `ctr images import` and `kind load image-archive` both read.
"""
import hashlib
import io
import json
import os
import sys
import tarfile


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def main(out, reference, config, *layers):
    digests = [sha256(path) for path in layers]
    image = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "config": json.loads(config),
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + d for d in digests]},
    }).encode()
    image_name = hashlib.sha256(image).hexdigest() + ".json"
    manifest = json.dumps([{
        "Config": image_name,
        "RepoTags": [reference],
        "Layers": [d + ".tar" for d in digests],
    }]).encode()
    with tarfile.open(out + ".part", "w") as archive:
        for name, content in ((image_name, image), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for digest, path in zip(digests, layers):
            archive.add(path, digest + ".tar", recursive=False)
    os.replace(out + ".part", out)


if len(sys.argv) < 5:
    sys.exit(__doc__)
main(*sys.argv[1:])
