//! The stored streams: finding them, and reading them, compressed or not.

use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The largest stored stream that is read, in bytes, unpacked.
const MAX_STREAM: u64 = 256 << 20;
/// The most folders within one another that are looked into.
const MAX_DEPTH: usize = 8;

/// A file that holds a stream, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredFile {
    /// From the archive's folder on.
    pub(crate) name: String,
    pub(crate) size: u64,
    /// When it was changed last, in nanoseconds since 1970; 0 if it can't be told.
    pub(crate) modified: i64,
}

/// The stored streams in order of their names, also those in folders of the archive and compressed
/// ones. A folder that does not exist holds none.
///
/// # Errors
/// The archive or a folder in it can't be listed.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<StoredFile>> {
    let mut found = Vec::new();
    match fs::read_dir(folder) {
        Ok(entries) => collect(entries, "", 0, &mut found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn collect(
    entries: fs::ReadDir,
    before: &str,
    depth: usize,
    found: &mut Vec<StoredFile>,
) -> io::Result<()> {
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let name = format!("{before}{name}");
        if is_stream(&name) {
            found.extend(stored(&entry, &name)?);
        } else if entry.file_type()?.is_dir() && depth < MAX_DEPTH {
            let inner = fs::read_dir(entry.path())?;
            collect(inner, &format!("{name}/"), depth + 1, found)?;
        }
    }
    Ok(())
}

/// The file, unless it vanished meanwhile.
fn stored(entry: &DirEntry, name: &str) -> io::Result<Option<StoredFile>> {
    let of = |metadata: &Metadata| StoredFile {
        name: name.to_owned(),
        size: metadata.len(),
        modified: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
    };
    match fs::metadata(entry.path()) {
        Ok(metadata) => Ok(Some(of(&metadata))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is listed, and named when it can't be read.
            match entry.metadata() {
                Ok(link) => Ok(Some(of(&link))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// It holds a stream, by its name: also one that is packed in a way that is not read.
fn is_stream(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    let ending = name.find(".ndjson").map(|at| &name[at + ".ndjson".len()..]);
    ending.is_some_and(|rest| rest.is_empty() || PACKED.contains(&rest))
}

/// Endings of packed files that may hold a stream.
const PACKED: [&str; 6] = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".zip"];

/// A file's name without folders and without `.ndjson` and what is behind it.
pub(crate) fn stem_of(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or_default();
    name.find(".ndjson").map_or(name, |at| &name[..at])
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
    #[error("it is packed in a way that is not read; pack it with gzip or zstd instead")]
    Packed,
    #[error("cannot read it: {0}")]
    Unreadable(#[source] io::Error),
}

/// Opens a stored stream.
///
/// # Errors
/// It is no regular file, too large, packed in a way that is not read, or can't be read.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read>, ReadError> {
    let metadata = fs::metadata(path).map_err(ReadError::NoMetadata)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    if metadata.len() > MAX_STREAM {
        return Err(ReadError::TooLarge(metadata.len()));
    }
    let file = File::open(path).map_err(ReadError::Unreadable)?;
    let ending = path.extension().and_then(|ending| ending.to_str());
    let input: Box<dyn Read> = match ending {
        Some("gz") => Box::new(MultiGzDecoder::new(file)),
        Some("zst") => {
            Box::new(zstd::stream::read::Decoder::new(file).map_err(ReadError::Unreadable)?)
        }
        Some("ndjson") => Box::new(file),
        _ => return Err(ReadError::Packed),
    };
    Ok(Box::new(input.take(MAX_STREAM)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_known_by_their_names_packed_or_not_and_in_any_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("can be made");
            fs::write(path, "{}\n").expect("writable");
        };
        for name in [
            "b.ndjson",
            "2025/a.ndjson.gz",
            "c.ndjson.xz",
            "d.md",
            ".hidden.ndjson",
            ".trash/e.ndjson",
            "f.ndjson.bak",
        ] {
            write(name);
        }
        let files = files(folder.path()).expect("listed");
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["2025/a.ndjson.gz", "b.ndjson", "c.ndjson.xz"]);
        assert_eq!(stem_of(names[0]), "a");
        let packed = open(&folder.path().join("c.ndjson.xz"));
        assert!(matches!(packed, Err(ReadError::Packed)));
    }

    #[test]
    fn what_does_not_exist_holds_no_stream() {
        assert_eq!(files(Path::new("/nonexistent")).expect("no error"), []);
    }
}
