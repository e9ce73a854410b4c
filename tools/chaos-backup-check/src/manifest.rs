//! The manifest of a backup: what it was when it was made, in a file beside it.
//!
//! No format that backups come in can show every damage: zstd and lz4 data of a PostgreSQL dump has no
//! checksum, nor has a file in a tar archive. The digest that [`Manifest`] holds can. It stands beside the
//! backup as `NAME.manifest.json`; where the backup is named by a symbolic link, beside what that leads to.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chaos_common::record::{Contents, Time};
use serde::{Deserialize, Serialize};

use crate::trouble::Trouble;
use crate::verify::Verified;

/// The kind and major version of a manifest.
const SCHEMA: &str = "chaos.manifest/1";
/// No manifest is larger: a database with a hundred thousand tables makes one of ten megabytes.
const MAX_FILE: u64 = 64 << 20;

/// What a backup was when it was sealed.
///
/// ```json
/// {"schema":"chaos.manifest/1","tool":"chaos-backup-check 0.1.0","file":"shop.dump","sealed":"2026-11-22T16:00:05.000Z",
///  "made":"2026-11-22T16:00:00.000Z","size_bytes":104857600,"sha256":"9f86d0…","contents":{"format":"postgres"}}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// `chaos.manifest/1`.
    schema: String,
    /// Name and version of the tool that made it.
    tool: String,
    /// The backup's file name, without its folder.
    pub(crate) file: String,
    /// When it was sealed.
    pub(crate) sealed: Time,
    /// When the backup was made, by what was known when it was sealed.
    pub(crate) made: Time,
    /// Size in bytes; of all its files together if it is a folder.
    pub(crate) size_bytes: u64,
    /// SHA-256 in hexadecimal digits, as `sha256sum` prints it. Of a folder: of the lines that
    /// `sha256sum *` prints in it, sorted by name.
    pub(crate) sha256: String,
    /// What it held: rows a table, versions.
    pub(crate) contents: Contents,
}

impl Manifest {
    /// The manifest of a backup that was read to its end just now.
    pub(crate) fn new(tool: &str, file: &str, made: Time, verified: &Verified) -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            tool: tool.to_owned(),
            file: file.to_owned(),
            sealed: Time::now(),
            made,
            size_bytes: verified.size_bytes,
            sha256: verified.sha256.clone(),
            contents: verified.contents.clone(),
        }
    }

    /// The name of the manifest of the backup with this name (or path, or key).
    pub(crate) fn name_for(backup: &Path) -> PathBuf {
        // A folder may be named with a slash at its end.
        let mut name = OsString::from(backup.components().collect::<PathBuf>());
        name.push(".manifest.json");
        PathBuf::from(name)
    }

    /// The manifest of the backup at this path, which is no symbolic link; `None` if there is none.
    pub(crate) fn of(backup: &Path) -> Result<Option<Manifest>, Trouble> {
        let path = Manifest::name_for(backup);
        let trouble = |why: String| Trouble::CannotTell(format!("its manifest {} {why}", path.display()));
        // A FIFO would be waited for.
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(trouble("is not a file".to_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble(format!("cannot be looked at: {error}"))),
        }
        let mut text = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
            .map_err(|error| trouble(format!("cannot be read: {error}")))?;
        Manifest::parse(&text).map(Some).map_err(trouble)
    }

    /// Reads a manifest's text. `Err` says what is wrong with it.
    pub(crate) fn parse(text: &[u8]) -> Result<Manifest, String> {
        let manifest: Manifest =
            serde_json::from_slice(text).map_err(|error| format!("is damaged or no manifest: {error}"))?;
        if manifest.schema != SCHEMA {
            return Err(format!("is of kind {:?}, and this version reads {SCHEMA}", manifest.schema));
        }
        Ok(manifest)
    }

    /// What differs between the backup that was sealed and the one that was read; `None` if nothing does.
    pub(crate) fn differs(&self, size_bytes: u64, sha256: &str) -> Option<String> {
        if self.size_bytes != size_bytes {
            return Some(format!("has {size_bytes} bytes, and had {} when it was sealed", self.size_bytes));
        }
        let same = self.sha256.eq_ignore_ascii_case(sha256);
        (!same).then(|| format!("has the SHA-256 {sha256}, and had {} when it was sealed", self.sha256))
    }

    /// Writes it beside the backup, whole or not at all.
    pub(crate) fn write(&self, backup: &Path) -> Result<PathBuf, std::io::Error> {
        let path = Manifest::name_for(backup);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".manifest-").tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        std::io::Write::write_all(&mut file, b"\n")?;
        file.as_file().sync_all()?;
        // The one who may read the backup may read its manifest.
        let mode = std::fs::metadata(backup)?.permissions().mode() & 0o666;
        std::fs::set_permissions(file.path(), Permissions::from_mode(mode))?;
        file.persist(&path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()?;
        Ok(path)
    }
}
