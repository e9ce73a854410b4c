//! The stored streams: finding them, and reading them, compressed or not.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// The largest stored stream that is read, in bytes, unpacked.
const MAX_STREAM: u64 = 256 << 20;
/// The ending of documents.
const DOCUMENT: &str = ".md";
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

impl StoredFile {
    fn of(name: String, metadata: &Metadata) -> StoredFile {
        let nanoseconds = metadata.mtime().saturating_mul(1_000_000_000);
        StoredFile {
            name,
            size: metadata.len(),
            modified: nanoseconds.saturating_add(metadata.mtime_nsec()),
        }
    }
}

/// The file is a document, and no stream, by its name.
pub(crate) fn is_document(name: &str) -> bool {
    name.ends_with(DOCUMENT)
}

/// What may have been reported in a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The stored streams, compressed ones as well.
    pub(crate) streams: Vec<StoredFile>,
    /// Markdown that belongs to none of them, by the names of the files: people may have written it.
    pub(crate) documents: Vec<String>,
}

/// The stored streams in order of their names, also those in folders of the archive and compressed
/// ones. A folder that does not exist holds none.
///
/// # Errors
/// The archive or a folder in it can't be listed.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<StoredFile>> {
    Ok(found(folder)?.streams)
}

/// The stored streams, as [`files`] lists them, and the documents without one.
///
/// # Errors
/// The archive or a folder in it can't be listed.
pub(crate) fn found(folder: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    match fs::read_dir(folder) {
        Ok(entries) => collect(entries, "", 0, &mut found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    found.streams.sort_by(|a, b| a.name.cmp(&b.name));
    found.documents.sort();
    // A stream that was moved or packed is still that of its report.
    let stems: HashSet<&str> = found.streams.iter().map(|it| stem_of(&it.name)).collect();
    let alone = |document: &String| {
        let name = stem_of(document);
        !stems.contains(name.strip_suffix(DOCUMENT).unwrap_or(name))
    };
    found.documents.retain(alone);
    Ok(found)
}

fn collect(entries: fs::ReadDir, before: &str, depth: usize, found: &mut Found) -> io::Result<()> {
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let name = format!("{before}{name}");
        if is_stream(&name) {
            found.streams.extend(stored(&entry, &name)?);
        } else if is_document(&name) {
            found.documents.push(name);
        } else if entry.file_type()?.is_dir() && depth < MAX_DEPTH {
            let inner = fs::read_dir(entry.path())?;
            collect(inner, &format!("{name}/"), depth + 1, found)?;
        }
    }
    Ok(())
}

/// A file of the folder by its name.
///
/// # Errors
/// It is not there, or can't be looked at.
pub(crate) fn stored_file(folder: &Path, name: String) -> io::Result<StoredFile> {
    let metadata = fs::metadata(folder.join(&name))?;
    Ok(StoredFile::of(name, &metadata))
}

/// The file, unless it vanished meanwhile. (Asked of the folder that is open: to look up its whole path for each
/// of ten thousand files takes longer.)
fn stored(entry: &DirEntry, name: &str) -> io::Result<Option<StoredFile>> {
    let metadata = match entry.metadata() {
        // A link that leads nowhere is listed, and named when it can't be read.
        Ok(link) if link.is_symlink() => fs::metadata(entry.path()).unwrap_or(link),
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(Some(StoredFile::of(name.to_owned(), &metadata)))
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
    #[error("it is not there any more")]
    Gone,
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
    unpacked(&path.to_string_lossy(), file)
}

/// A stored stream as it was before it was packed, which its file's name tells.
///
/// # Errors
/// It is packed in a way that is not read.
pub(crate) fn unpacked<'r>(
    name: &str,
    input: impl Read + 'r,
) -> Result<Box<dyn Read + 'r>, ReadError> {
    let input: Box<dyn Read> = match name.rsplit('.').next() {
        Some("gz") => Box::new(MultiGzDecoder::new(input)),
        Some("zst") => {
            Box::new(zstd::stream::read::Decoder::new(input).map_err(ReadError::Unreadable)?)
        }
        Some("ndjson") => Box::new(input),
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
