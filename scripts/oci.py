#!/usr/bin/env python3
"""Make an image archive of one layer, without a builder.

usage: oci.py OUT.tar REFERENCE CONFIG-JSON LAYER.tar

The archive is an OCI layout with docker's manifest beside it, as "docker save"
writes it: containerd, kind, podman, skopeo and docker all load it. The same
input gives the same bytes; its time is SOURCE_DATE_EPOCH.
"""
import gzip
import hashlib
import io
import json
import os
import platform
import sys
import tarfile
import time

OCI = "application/vnd.oci.image."
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def descriptor(kind, data, **more):
    return {"mediaType": OCI + kind, "digest": "sha256:" + digest(data), "size": len(data), **more}


def full_name(reference):
    """The name by which a node knows what a pod asks for, as containerd writes it."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return "docker.io/library/" + reference
    if "." in first or ":" in first or first == "localhost":
        return reference
    return "docker.io/" + reference


def main(out, reference, config, layer):
    with open(layer, "rb") as f:
        unpacked = f.read()
    packed = gzip.compress(unpacked, 9, mtime=0)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    image = json.dumps({
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch)),
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": json.loads(config),
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(unpacked)]},
    }).encode()
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": OCI + "manifest.v1+json",
        "config": descriptor("config.v1+json", image),
        "layers": [descriptor("layer.v1.tar+gzip", packed)],
    }).encode()
    name = {
        "io.containerd.image.name": full_name(reference),
        "org.opencontainers.image.ref.name": reference.rpartition(":")[2],
    }
    index = {
        "schemaVersion": 2,
        "mediaType": OCI + "index.v1+json",
        "manifests": [descriptor("manifest.v1+json", manifest, annotations=name)],
    }
    blob = {data: "blobs/sha256/" + digest(data) for data in (image, manifest, packed)}
    docker = [{"Config": blob[image], "RepoTags": [reference], "Layers": [blob[packed]]}]
    files = [
        ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
        ("index.json", json.dumps(index).encode()),
        ("manifest.json", json.dumps(docker).encode()),
        *sorted((path, data) for data, path in blob.items()),
    ]
    with tarfile.open(out + ".part", "w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in files:
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(data), epoch
            archive.addfile(entry, io.BytesIO(data))
    os.replace(out + ".part", out)


if len(sys.argv) != 5:
    sys.exit(__doc__)
main(*sys.argv[1:])
