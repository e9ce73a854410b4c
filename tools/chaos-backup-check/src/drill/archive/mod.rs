//! The drill of an archive: unpacked as tar does it, into a folder that is thrown away.

mod sparse;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Instant;

use chaos_backup_check::formats::error::count;
use chaos_common::cluster::error_chain;
use tar::Archive;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

use self::sparse::SparseRecords;
use super::Restored;
use super::error::DrillError;
use super::feed::Feed;
use crate::program_messages::Meaning;
use crate::progress::bytes;

/// Pieces that wait to be unpacked at most.
const PIECES: usize = 4;

/// Unpacks an archive.
pub(super) async fn drill(mut archive: Feed) -> Result<Restored, DrillError> {
    let made = tempfile::Builder::new().prefix("chaos-drill-").tempdir();
    let place = std::env::temp_dir();
    let folder = made.map_err(|error| {
        let place = place.display();
        DrillError::unknown(format!("cannot make a scratch folder in {place}: {error}"))
            .hint("name another place with TMPDIR")
    })?;
    let folder = UnpackedFolder(folder);
    let start = Instant::now();
    let unpacking = Unpacking::start(folder);
    while let Some(piece) = archive.next().await? {
        unpacking.give(piece).await;
    }
    let unpacked = unpacking
        .finish()
        .await
        .map_err(|error| told(&error, &place))?;
    let took = start.elapsed();
    if unpacked.files == 0 {
        return Err(DrillError::fail(
            "unpacks to nothing: there is not one file in it",
        ));
    }
    let (size_bytes, blake3) = archive.read();
    let (files, size) = (count(unpacked.files, "file"), bytes(unpacked.bytes));
    Ok(Restored {
        message: format!("unpacked in {} ms: {files}, {size}", took.as_millis()),
        took,
        size_bytes,
        blake3,
        into: "a scratch folder".to_owned(),
        rows: None,
    })
}

/// What was unpacked.
struct Unpacked {
    files: u64,
    bytes: u64,
}

/// A thread that unpacks what it is given. Dropping this stops it, and waits until its folder is
/// gone.
struct Unpacking {
    pieces: Option<Sender<Vec<u8>>>,
    done: Option<oneshot::Receiver<io::Result<Unpacked>>>,
    thread: Option<JoinHandle<()>>,
}

impl Unpacking {
    fn start(folder: UnpackedFolder) -> Unpacking {
        let (send, pieces) = channel(PIECES);
        let (tell, done) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let reader = PieceReader {
                pieces,
                current: io::Cursor::default(),
            };
            let unpacked = unpack(reader, folder.0.path()).and_then(|()| folder.count());
            // The folder goes before who waits goes on.
            drop(folder);
            // Nobody may wait any more.
            let _ = tell.send(unpacked);
        });
        Unpacking {
            pieces: Some(send),
            done: Some(done),
            thread: Some(thread),
        }
    }

    /// Hands on a piece; waits while the thread is behind. What it does not want any more is
    /// dropped.
    async fn give(&self, piece: Vec<u8>) {
        if let Some(pieces) = &self.pieces {
            let _ = pieces.send(piece).await;
        }
    }

    /// Waits for the end.
    async fn finish(mut self) -> io::Result<Unpacked> {
        self.pieces = None;
        let done = self.done.take().expect("it is finished once");
        done.await
            .expect("the thread ends with its result, or has panicked")
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            // Its panic was seen where its result is waited for.
            let _ = thread.join();
        }
    }
}

/// Gives the bytes of pieces.
struct PieceReader {
    pieces: Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for PieceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

/// Unpacks every member, folders last: their permissions may forbid to write into them. Owners and
/// set-user-ID bits are left out, so that all can be removed again.
fn unpack(reader: PieceReader, folder: &Path) -> io::Result<()> {
    let mut archive = Archive::new(reader);
    archive.set_unpack_xattrs(false);
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_dir() {
            folders.push(entry);
            continue;
        }
        let sparse = SparseRecords::of_entry(&mut entry)?;
        let inside = match &sparse {
            Some(records) => sparse::unpack_in(folder, &mut entry, records)?,
            None => entry.unpack_in(folder)?,
        };
        if !inside {
            let name = sparse.and_then(SparseRecords::into_name);
            return Err(leads_out(&name.map_or(entry.path_bytes(), Cow::Owned)));
        }
    }
    folders.sort_by(|one, other| other.path_bytes().cmp(&one.path_bytes()));
    for mut entry in folders {
        if !entry.unpack_in(folder)? {
            return Err(leads_out(&entry.path_bytes()));
        }
    }
    // What follows the end mark is part of the digest, and of nothing else.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop)
}

fn leads_out(path: &[u8]) -> io::Error {
    let path = String::from_utf8_lossy(path);
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("its member {path} leads out of the folder that it is unpacked into"),
    )
}

/// What an error means: one of this machine says nothing of the archive.
fn told(error: &io::Error, place: &Path) -> DrillError {
    let what = "it does not unpack";
    let words = error_chain(error);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            DrillError::of_meaning(Meaning::DiskFull, what, &words, place)
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DrillError::unknown(format!("{what}: {words}"))
        }
        _ => DrillError::fail(format!("{what}: {words}")),
    }
}

/// A folder that is removed whatever was unpacked into it.
struct UnpackedFolder(tempfile::TempDir);

impl UnpackedFolder {
    /// Files and their bytes; one that has several names counts once.
    fn count(&self) -> io::Result<Unpacked> {
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
        Ok(Unpacked { files, bytes })
    }
}

impl Drop for UnpackedFolder {
    fn drop(&mut self) {
        // Folders that may not be written could not be emptied; what it finds is of no interest
        // now.
        let _ = self.count();
    }
}

/// Lets a folder be read and emptied.
fn open(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    use chaos_common::cli;
    use chaos_common::record::Status;

    use super::*;

    fn drilled(bytes: &[u8]) -> Result<Restored, DrillError> {
        cli::block_on(drill(Feed::bytes(bytes.to_vec())))
    }

    /// An archive of one file, under a name that need not be a good one.
    fn archive(name: &[u8], text: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_size(text.len() as u64);
        header.set_mode(0o4400);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, text).expect("memory");
        builder.into_inner().expect("memory")
    }

    #[test]
    fn what_is_unpacked_is_counted_and_read_to_its_end() {
        let mut bytes = archive(b"a/b.txt", b"hello");
        bytes.extend([0; 4096]);
        let restored = drilled(&bytes).expect("whole");
        assert!(
            restored.message.ends_with("ms: 1 file, 5 B"),
            "{}",
            restored.message
        );
        assert_eq!(restored.size_bytes, bytes.len() as u64);
        assert_eq!(restored.blake3, blake3::hash(&bytes).to_string());
    }

    #[test]
    fn what_does_not_unpack_fails() {
        let whole = archive(b"a/b.txt", &[7; 3000]);
        let ends = whole.len() - 1024;
        let led_out = [&whole[..ends], &archive(b"../out.txt", b"x")].concat();
        for bad in [&whole[..2000], &led_out, &[0; 1024], b"no archive at all"] {
            let error = drilled(bad).expect_err("not unpacked");
            assert_eq!(error.status(), Status::Fail, "{}", error.message);
        }
    }

    #[test]
    fn sparse_members_are_counted_as_the_files_that_they_were() {
        let names = ["sparse-0.0", "sparse-0.1", "sparse-1.0"];
        for bytes in names.map(sparse::tests::fixture) {
            let restored = drilled(&bytes).expect("whole");
            let message = restored.message;
            assert!(message.ends_with("ms: 3 files, 1.5 MB"), "{message}");
        }
    }

    #[test]
    fn a_drill_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = folder.path().to_owned();
        let unpacking = Unpacking::start(UnpackedFolder(folder));
        cli::block_on(unpacking.give(archive(b"a", &[7; 3000])[..2000].to_vec()));
        drop(unpacking);
        assert!(!kept.exists(), "{}", kept.display());
    }
}
