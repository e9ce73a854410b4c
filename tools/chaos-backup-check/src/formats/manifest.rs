//! The manifest of a backup: what it was when it was made, in a file beside it.
//!
//! No format that backups come in can show every damage: zstd and lz4 data of a PostgreSQL dump has
//! no checksum, nor has a file in a tar archive. The digest that [`Manifest`] holds can. It stands
//! beside the backup as `NAME.manifest.json`; where the backup is named by a symbolic link, beside
//! what that leads to.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chaos_common::record::{Contents, Time};
use serde::{Deserialize, Serialize};

use crate::formats::error::SidecarError;
use crate::formats::inspection::Verified;

/// Id of the check of whether a backup is what its manifest says.
pub const SEALED: &str = "backup.sealed";
/// The kind and major version of a manifest.
const SCHEMA: &str = "chaos.manifest/1";
/// No manifest is larger: a database with a hundred thousand tables makes one of ten megabytes.
pub const MAX_FILE: u64 = 64 << 20;

/// What a backup was when it was sealed.
///
/// ```json
/// {"schema":"chaos.manifest/1","tool":"chaos-backup-check 0.1.0","file":"shop.dump","sealed":"2026-11-22T16:00:05.000Z",
///  "made":"2026-11-22T16:00:00.000Z","size_bytes":104857600,"blake3":"9f86d0…","contents":{"format":"postgres"}}
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `chaos.manifest/1`.
    schema: String,
    /// Name and version of the tool that made it.
    tool: String,
    /// The backup's file name, without its folder.
    pub file: String,
    /// When it was sealed.
    pub sealed: Time,
    /// When the backup was made, by what was known when it was sealed.
    pub made: Time,
    /// Size in bytes; of all its files together if it is a folder.
    pub size_bytes: u64,
    /// BLAKE3 digest in hexadecimal digits, as `b3sum` prints it. Of a folder: of the lines that
    /// `b3sum *` prints in it, sorted by name.
    pub blake3: String,
    /// What it held: rows a table, versions.
    pub contents: Contents,
    /// The manifest that it took the place of, if that no longer fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

/// A manifest that the backup did not fit any more, and why another took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// When it was sealed.
    pub sealed: Time,
    /// The digest that the backup had then.
    pub blake3: String,
    /// What the one said who sealed it anew.
    pub reason: String,
}

impl Manifest {
    /// The manifest of a backup that was read to its end just now.
    pub fn new(tool: &str, file: &str, made: Time, verified: &Verified) -> Manifest {
        Manifest {
            schema: SCHEMA.to_owned(),
            tool: tool.to_owned(),
            file: file.to_owned(),
            sealed: Time::now(),
            made,
            size_bytes: verified.size_bytes,
            blake3: verified.blake3.clone(),
            contents: verified.found.contents.clone(),
            replaces: None,
        }
    }

    /// The name of the manifest of the backup with this name (or path, or key).
    pub fn name_for(backup: &Path) -> PathBuf {
        // A folder may be named with a slash at its end.
        let mut name = OsString::from(backup.components().collect::<PathBuf>());
        name.push(".manifest.json");
        PathBuf::from(name)
    }

    /// Reads a manifest's text.
    ///
    /// # Errors
    ///
    /// It is no such text, or one of another kind.
    pub fn parse(text: &[u8]) -> Result<Manifest, SidecarError> {
        let manifest: Manifest = serde_json::from_slice(text).map_err(SidecarError::Manifest)?;
        SidecarError::check_schema(&manifest.schema, SCHEMA)?;
        Ok(manifest)
    }

    /// What differs between the backup that was sealed and the one that was read; `None` if nothing
    /// does.
    pub fn differs(&self, size_bytes: u64, blake3: &str) -> Option<String> {
        if self.size_bytes != size_bytes {
            return Some(format!(
                "has {size_bytes} bytes, and had {} when it was sealed",
                self.size_bytes
            ));
        }
        let same = self.blake3.eq_ignore_ascii_case(blake3);
        (!same).then(|| {
            format!(
                "has the digest {blake3}, and had {} when it was sealed",
                self.blake3
            )
        })
    }

    /// Its text, for people and programs.
    ///
    /// # Panics
    ///
    /// Never: all that a manifest holds can be written as JSON.
    pub fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest has no keys but text");
        text.push(b'\n');
        text
    }
}
