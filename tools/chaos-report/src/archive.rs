//! The archive: one folder with a report and its stream for each run.
//!
//! Files are written under a hidden name, synced, and only then given their own: a full disk or a
//! kill leaves no half report behind.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The largest stored stream that is read, in bytes.
pub(crate) const MAX_STREAM: u64 = 256 << 20;

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
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path
            .extension()
            .is_some_and(|extension| extension == "ndjson")
            && !hidden
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Opens a stored stream.
///
/// # Errors
/// In words: it is no regular file, too large, or can't be read.
pub(crate) fn open(path: &Path) -> Result<impl Read, String> {
    let metadata = fs::metadata(path).map_err(|error| format!("cannot look at it: {error}"))?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if metadata.len() > MAX_STREAM {
        return Err(format!(
            "it has {} bytes, more than the {MAX_STREAM} that are read",
            metadata.len()
        ));
    }
    let file = File::open(path).map_err(|error| format!("cannot read it: {error}"))?;
    Ok(file.take(MAX_STREAM))
}

/// The name of a run's files without the ending: when it began, what it was, and the end of the
/// run's id, which differs between runs of the same second.
pub(crate) fn stem(began: chaos_common::record::Time, experiment: &str, run: &str) -> String {
    let plain = |text: &str| -> String {
        text.chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect()
    };
    let experiment: String = plain(experiment)
        .trim_matches('-')
        .chars()
        .take(40)
        .collect();
    let run: Vec<char> = run.chars().filter(char::is_ascii_alphanumeric).collect();
    let short: String = run[run.len().saturating_sub(8)..].iter().collect();
    let word = |text: String| {
        if text.is_empty() {
            "unknown".to_owned()
        } else {
            text
        }
    };
    format!(
        "{}-{}-{}",
        began.0.strftime("%Y%m%dT%H%M%SZ"),
        word(experiment),
        word(short)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Time;

    #[test]
    fn names_hold_nothing_that_leaves_the_folder() {
        let began: Time = serde_json::from_str("\"2026-11-22T16:00:05.123Z\"").expect("RFC 3339");
        assert_eq!(
            stem(began, "pod-failure", "01981f3e-aaaa-7bbb-8ccc-0123456789ab"),
            "20261122T160005Z-pod-failure-456789ab"
        );
        assert_eq!(
            stem(began, "../../etc/Passwd", "../"),
            "20261122T160005Z-etc-passwd-unknown"
        );
        assert_eq!(stem(began, "", ""), "20261122T160005Z-unknown-unknown");
    }

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
