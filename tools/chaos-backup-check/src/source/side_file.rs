//! Files that stand beside backups and are none: digests, signatures, logs, manifests, what is not
//! all there yet, and the roles of a database server.

/// Why a file is not taken for a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SideFile {
    /// Its name begins with a dot.
    Hidden,
    /// A digest, or a list of them.
    Digest,
    /// A signature.
    Signature,
    /// What a program said.
    Log,
    /// A manifest, or other words on a backup.
    Description,
    /// Still on its way, or the sign of somebody at work.
    Unfinished,
    /// Roles and tablespaces of a server (`pg_dumpall --globals-only`).
    Globals,
}

const ENDINGS: [(SideFile, &[&str]); 4] = [
    (
        SideFile::Digest,
        &[
            ".sha1",
            ".sha224",
            ".sha256",
            ".sha384",
            ".sha512",
            ".md5",
            ".b2",
            ".b3",
            ".blake2",
            ".blake3",
            ".crc",
            ".crc32",
            ".sfv",
            ".sha1sum",
            ".sha256sum",
            ".sha512sum",
            ".md5sum",
            ".b2sum",
            ".b3sum",
            ".checksum",
            ".checksums",
        ],
    ),
    (SideFile::Signature, &[".sig", ".minisig", ".sigstore"]),
    (
        SideFile::Log,
        &[".log", ".log.gz", ".err", ".stderr", ".stdout"],
    ),
    (
        SideFile::Unfinished,
        &[
            ".tmp",
            ".temp",
            ".part",
            ".partial",
            ".filepart",
            ".incomplete",
            ".inprogress",
            ".crdownload",
            ".swp",
            ".lock",
            ".pid",
            "~",
        ],
    ),
];
/// Names that are whole, whatever their case.
const NAMES: [(SideFile, &[&str]); 2] = [
    (
        SideFile::Digest,
        &[
            "sha256sums",
            "sha512sums",
            "sha1sums",
            "md5sums",
            "b3sums",
            "checksums",
        ],
    ),
    (
        SideFile::Description,
        &[
            "readme",
            "manifest",
            "manifest.json",
            "backup_manifest",
            "backup_label",
        ],
    ),
];
/// What describes a backup where it stands behind the backup's whole name: `shop.dump.json`.
const DESCRIPTIONS: [&str; 9] = [
    ".json", ".yaml", ".yml", ".toml", ".txt", ".meta", ".info", ".ini", ".list",
];
/// The ends of names that backups have.
const BACKUPS: [&str; 21] = [
    ".dump", ".dmp", ".pgdump", ".custom", ".backup", ".bak", ".sql", ".tar", ".tgz", ".gz",
    ".zst", ".lz4", ".xz", ".bz2", ".tzst", ".txz", ".age", ".gpg", ".pgp", ".enc", ".db",
];
/// A text that is signed has more than its signature.
const MAX_SIGNATURE: u64 = 4096;

/// What a file is by its name and size, if it is none that could be the backup.
pub(super) fn side_file(name: &str, size: u64) -> Option<SideFile> {
    if name.starts_with('.') {
        return Some(SideFile::Hidden);
    }
    let name = name.to_ascii_lowercase();
    let is = |end: &&str| name.ends_with(*end);
    if [".manifest.json", ".manifest", ".md"].iter().any(is) {
        return Some(SideFile::Description);
    }
    // SHA256SUMS.txt, shop.md5.txt
    let plain = name.strip_suffix(".txt").unwrap_or(&name);
    let whole = NAMES.iter().find(|(_, names)| names.contains(&plain));
    let ending = |(_, ends): &&(SideFile, &[&str])| ends.iter().any(|end| plain.ends_with(end));
    if let Some((side, _)) = whole.or_else(|| ENDINGS.iter().find(ending)) {
        return Some(*side);
    }
    let of_backup = |end: &str| {
        let stem = name.strip_suffix(end)?;
        BACKUPS.iter().any(|end| stem.ends_with(end)).then_some(())
    };
    if DESCRIPTIONS.iter().any(|end| of_backup(end).is_some()) {
        return Some(SideFile::Description);
    }
    if size < MAX_SIGNATURE && of_backup(".asc").is_some() {
        return Some(SideFile::Signature);
    }
    is_globals(&name).then_some(SideFile::Globals)
}

/// Whether one word of a name says that it is of a server's globals.
pub(super) fn is_globals(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|word| ["globals", "roles", "tablespaces"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_backups_is_told_from_them() {
        for (name, side) in [
            ("x.dump.sha256", SideFile::Digest),
            ("SHA256SUMS", SideFile::Digest),
            ("x.tar.gz.md5.txt", SideFile::Digest),
            ("x.dump.manifest.json", SideFile::Description),
            ("backup.log", SideFile::Log),
            ("x.dump.json", SideFile::Description),
            ("x.dump.asc", SideFile::Signature),
            ("x.dump.part", SideFile::Unfinished),
            (".x.dump.a8s7", SideFile::Hidden),
            ("globals.sql", SideFile::Globals),
            ("shop-globals-2026-11-22.sql.gz", SideFile::Globals),
            ("README.md", SideFile::Description),
        ] {
            assert_eq!(side_file(name, 100), Some(side), "{name}");
        }
        for name in [
            "x.dump",
            "secrets.json",
            "shop.tar.gz",
            "shop.sql.age",
            "dump.txt",
            "log.tar",
            "x",
            "configmaps-2026.yaml",
            "catalogs.dump",
            "x.json.gz",
        ] {
            assert_eq!(side_file(name, 100), None, "{name}");
        }
        assert_eq!(side_file("x.dump.asc", 1 << 20), None, "it is encrypted");
    }
}
