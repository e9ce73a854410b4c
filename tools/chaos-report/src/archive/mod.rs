//! The archive: one folder with a report and its stream for each run.
//!
//! Files are written under a hidden name, synced, and only then given their own: a full disk or a
//! kill leaves no half report behind.

mod stem;

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub(crate) use self::stem::stem;

/// The largest stored stream that is read, in bytes.
const MAX_STREAM: u64 = 256 << 20;

/// A file of the archive that has no name yet. It vanishes unless it is given one.
pub(crate) struct Draft(NamedTempFile);

impl Draft {
    /// A new file in the archive, which is made where it is missing.
    pub(crate) fn create(folder: &Path) -> io::Result<Draft> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
        tempfile::Builder::new()
            .prefix(".chaos-report-")
            .suffix(".tmp")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map(Draft)
    }

    /// A new file that holds this text.
    pub(crate) fn of(folder: &Path, text: &str) -> io::Result<Draft> {
        let mut draft = Draft::create(folder)?;
        draft.write_all(text.as_bytes())?;
        Ok(draft)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_file_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.as_file_mut().flush()
    }
}

/// Gives a stream and its report their names: `stem.ndjson` and `stem.md`, with a number behind the
/// stem where those are taken. `report` makes the text, given the stream's file name.
pub(crate) fn save(
    folder: &Path,
    stem: &str,
    stream: Draft,
    report: impl Fn(&str) -> String,
) -> io::Result<(PathBuf, PathBuf)> {
    stream.sync()?;
    let mut stream = stream.0;
    for number in 1..1000 {
        let stem = if number == 1 {
            stem.to_owned()
        } else {
            format!("{stem}-{number}")
        };
        let (stream_path, report_path) = (
            folder.join(format!("{stem}.ndjson")),
            folder.join(format!("{stem}.md")),
        );
        if report_path.exists() {
            continue;
        }
        let draft = Draft::of(folder, &report(&format!("{stem}.ndjson")))?;
        draft.sync()?;
        match stream.persist_noclobber(&stream_path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                stream = error.file;
                continue;
            }
            Err(error) => return Err(error.error),
        }
        if let Err(error) = draft.0.persist_noclobber(&report_path) {
            // The stream alone would count as a run without a report.
            let _ = fs::remove_file(&stream_path);
            return Err(error.error);
        }
        File::open(folder)?.sync_all()?;
        return Ok((report_path, stream_path));
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "a thousand reports have this name",
    ))
}

/// Writes a file of this name in one step, in place of one that is there.
pub(crate) fn replace(folder: &Path, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = folder.join(name);
    let draft = Draft::of(folder, text)?;
    draft.sync()?;
    draft.0.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// The stored streams in order of their names, which is that of time. A folder that does not exist
/// holds none.
pub(crate) fn streams(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let stream = path.extension().is_some_and(|ending| ending == "ndjson");
        if stream && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Why a stored stream is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("cannot look at it: {0}")]
    NoMetadata(#[source] io::Error),
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it has {0} bytes, more than the {MAX_STREAM} that are read")]
    TooLarge(u64),
    #[error("cannot read it: {0}")]
    Unreadable(#[source] io::Error),
}

/// Opens a stored stream.
///
/// # Errors
/// It is no regular file, too large, or can't be read.
pub(crate) fn open(path: &Path) -> Result<impl Read + use<>, ReadError> {
    let metadata = fs::metadata(path).map_err(ReadError::NoMetadata)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    if metadata.len() > MAX_STREAM {
        return Err(ReadError::TooLarge(metadata.len()));
    }
    let file = File::open(path).map_err(ReadError::Unreadable)?;
    Ok(file.take(MAX_STREAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_name_is_never_overwritten_and_a_lost_draft_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let draft = || Draft::of(folder.path(), "{}\n").expect("writable");
        let text = |name: &str| format!("made of {name}\n");
        let (first, _) = save(folder.path(), "x", draft(), text).expect("saved");
        let (second, stream) = save(folder.path(), "x", draft(), text).expect("saved");
        assert!(
            first.ends_with("x.md") && second.ends_with("x-2.md"),
            "{first:?} {second:?}"
        );
        assert_eq!(
            fs::read_to_string(second).expect("there"),
            "made of x-2.ndjson\n"
        );
        assert_eq!(
            streams(folder.path()).expect("listed"),
            [stream, folder.path().join("x.ndjson")]
        );
        drop(draft());
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 4);
    }
}
