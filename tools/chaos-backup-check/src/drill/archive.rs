//! The drill of an archive: unpacked with tar, as a person would, into a folder that is thrown
//! away.

use std::collections::HashSet;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use chaos_backup_check::formats::error::count;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Restored;
use super::error::Trouble;
use super::feed::Feed;
use crate::progress::bytes;

/// Unpacks an archive.
pub(crate) async fn drill(archive: Feed) -> Result<Restored, Trouble> {
    let made = tempfile::Builder::new().prefix("chaos-drill-").tempdir();
    let folder = made.map_err(|error| {
        Trouble::unknown(format!(
            "cannot make a scratch folder in {}: {error}",
            std::env::temp_dir().display()
        ))
        .hint("name another place with TMPDIR")
    })?;
    let folder = Unpacked(folder);
    let mut tar = Command::new("tar");
    // What it holds belongs to nobody here, and may be removed again.
    tar.args([
        "-x",
        "--no-same-owner",
        "--no-same-permissions",
        "-f",
        "-",
        "-C",
    ])
    .arg(folder.0.path());
    tar.env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    tar.kill_on_drop(true);
    let cannot = |error: std::io::Error| Trouble::unknown(format!("cannot run tar: {error}"));
    let start = Instant::now();
    let mut child = tar.spawn().map_err(cannot)?;
    let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
        return Err(Trouble::unknown("tar is not connected"));
    };
    let mut said = Vec::new();
    let hear = async {
        let mut stderr = stderr.take(64 << 10);
        stderr.read_to_end(&mut said).await
    };
    let (fed, heard) = futures::future::join(archive.into(stdin), hear).await;
    let status = child.wait().await.map_err(cannot)?;
    let (size_bytes, blake3) = fed?;
    heard.map_err(cannot)?;
    let took = start.elapsed();
    if !status.success() {
        return Err(Trouble::of_postgres(
            "it does not unpack",
            &String::from_utf8_lossy(&said),
            folder.0.path(),
        ));
    }
    let (files, unpacked) = folder.count().map_err(|error| {
        Trouble::unknown(format!("what was unpacked cannot be counted: {error}"))
    })?;
    if files == 0 {
        return Err(Trouble::fail(
            "unpacks to nothing: there is not one file in it",
        ));
    }
    let files = count(files, "file");
    Ok(Restored {
        message: format!(
            "unpacked in {} ms: {files}, {}",
            took.as_millis(),
            bytes(unpacked)
        ),
        took,
        size_bytes,
        blake3,
        into: "a scratch folder".to_owned(),
        rows: None,
    })
}

/// A folder that is removed whatever was unpacked into it.
struct Unpacked(tempfile::TempDir);

impl Unpacked {
    /// Files and their bytes.
    fn count(&self) -> std::io::Result<(u64, u64)> {
        let (mut files, mut bytes, mut seen) = (0, 0, HashSet::new());
        let mut folders = vec![self.0.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    open(&entry.path())?;
                    folders.push(entry.path());
                } else if seen.insert((metadata.dev(), metadata.ino())) {
                    files += 1;
                    bytes += if metadata.is_file() {
                        metadata.len()
                    } else {
                        0
                    };
                }
            }
        }
        Ok((files, bytes))
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // Folders that may not be written could not be emptied; what it finds is of no interest
        // now.
        let _ = self.count();
    }
}

/// Lets a folder be read and emptied.
fn open(folder: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}
