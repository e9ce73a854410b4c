//! The archive: one folder with the stream of each run, and the reports that were made from it.
//!
//! Files are written under a hidden name, synced, and only then given their own: a full disk or a
//! kill leaves no half report behind.

mod bundle;
mod files;
mod stem;

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};

pub(crate) use self::bundle::{BundleError, BundledRun, Unpacked, pack, unpack};
pub(crate) use self::files::{
    ReadError, StoredFile, files, found, is_document, open, stem_of, stored_file, unpacked,
};
pub(crate) use self::stem::stem;

/// Endings of reports.
pub(crate) const REPORTS: [&str; 5] = ["md", "html", "json", "junit.xml", "summary.txt"];
/// The most files that may have one name, with numbers behind it.
const MOST_NUMBERS: u32 = 1000;

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

    /// A new file that holds these bytes.
    pub(crate) fn of(folder: &Path, bytes: &[u8]) -> io::Result<Draft> {
        let mut draft = Draft::create(folder)?;
        draft.write_all(bytes)?;
        Ok(draft)
    }

    /// This file, which is there already.
    fn at(path: &Path) -> io::Result<Draft> {
        let file = File::open(path)?;
        let path = TempPath::try_from_path(path)?;
        Ok(Draft(NamedTempFile::from_parts(file, path)))
    }

    /// What was written.
    pub(crate) fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.reopen()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The same in another folder, which is made where it is missing.
    pub(crate) fn moved_to(self, folder: &Path) -> io::Result<Draft> {
        Draft::of(folder, &self.bytes()?)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }

    /// Gives it this name, in place of a file that has it. It is not synced.
    pub(crate) fn replace(self, folder: &Path, name: &str) -> io::Result<()> {
        let named = self.0.persist(folder.join(name));
        named.map(drop).map_err(|error| error.error)
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

/// Where a run's files are in the archive.
#[derive(Debug)]
pub(crate) struct SavedFiles {
    /// The reports, in the order in which they were given.
    pub(crate) reports: Vec<PathBuf>,
    pub(crate) stream: PathBuf,
}

/// A report that is to be kept: the ending of its name, such as `md`, and what it holds.
pub(crate) type NewReport = (&'static str, Vec<u8>);

/// Gives a stream and its reports their names: the stem and their endings, `ndjson`, `md` and so on,
/// with a number behind the stem where one of those is taken. `reports` makes them, given the stem.
pub(crate) fn save(
    folder: &Path,
    stem: &str,
    (stream, ending): (Draft, &str),
    reports: impl Fn(&str) -> Vec<NewReport>,
) -> io::Result<SavedFiles> {
    stream.sync()?;
    let mut stream = stream.0;
    for stem in numbered(stem) {
        let path = |ending: &str| folder.join(format!("{stem}.{ending}"));
        // Making the reports takes longer than a look.
        if path(ending).exists() {
            continue;
        }
        let reports = reports(&stem);
        if reports.iter().any(|(ending, _)| path(ending).exists()) {
            continue;
        }
        let drafts = reports.iter().map(|(ending, bytes)| {
            let draft = Draft::of(folder, bytes)?;
            draft.sync()?;
            Ok((path(ending), draft))
        });
        let drafts: Vec<(PathBuf, Draft)> = drafts.collect::<io::Result<_>>()?;
        let stream_path = path(ending);
        match stream.persist_noclobber(&stream_path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                stream = error.file;
                continue;
            }
            Err(error) => return Err(error.error),
        }
        let reports = name(drafts).inspect_err(|_| {
            // The stream alone would count as a run without a report.
            let _ = fs::remove_file(&stream_path);
        })?;
        File::open(folder)?.sync_all()?;
        return Ok(SavedFiles {
            reports,
            stream: stream_path,
        });
    }
    Err(no_name_left())
}

/// The names that a stem stands for: itself, then with numbers behind it.
pub(crate) fn numbered(stem: &str) -> impl Iterator<Item = String> {
    let others = (2..MOST_NUMBERS).map(move |number| format!("{stem}-{number}"));
    std::iter::once(stem.to_owned()).chain(others)
}

/// All names that a stem stands for are taken.
pub(crate) fn no_name_left() -> io::Error {
    let why = "a thousand reports have this name";
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}

/// The digest of some bytes, as `sha256sum` prints it.
pub(crate) fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Whether the folder has this file, or one with a number behind its stem, with this digest.
pub(crate) fn holds(folder: &Path, name: &str, wanted: &str) -> bool {
    let stem = stem_of(name);
    let ending = &name[stem.len()..];
    numbered(stem)
        .map_while(|stem| fs::read(folder.join(format!("{stem}{ending}"))).ok())
        .any(|bytes| digest(&bytes) == wanted)
}

/// Gives each draft its name: all of them, or none.
fn name(drafts: Vec<(PathBuf, Draft)>) -> io::Result<Vec<PathBuf>> {
    let mut named = Vec::new();
    for (path, draft) in drafts {
        if let Err(error) = draft.0.persist_noclobber(&path) {
            for path in &named {
                let _ = fs::remove_file(path);
            }
            return Err(error.error);
        }
        named.push(path);
    }
    Ok(named)
}

/// Removes a stream and its reports. The stream goes last: a run is there as long as that is.
///
/// # Errors
/// A file can't be removed.
pub(crate) fn remove(folder: &Path, file: &str) -> Result<(), (PathBuf, io::Error)> {
    let stream = folder.join(file);
    for path in reports_of(&stream).into_iter().chain([stream]) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((path, error)),
            _ => {}
        }
    }
    Ok(())
}

/// The reports beside a stream.
pub(crate) fn reports_of(stream: &Path) -> Vec<PathBuf> {
    let name = stream.file_name().unwrap_or_default().to_string_lossy();
    let stem = stem_of(&name).to_owned();
    let path = |ending: &str| stream.with_file_name(format!("{stem}.{ending}"));
    let paths = REPORTS.into_iter().map(path);
    paths.filter(|path| path.is_file()).collect()
}

/// Writes a file of this name in one step, in place of one that is there.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join(name);
    let draft = Draft::of(folder, bytes)?;
    draft.sync()?;
    draft.0.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(folder: &Path) -> Draft {
        Draft::of(folder, b"{}\n").expect("writable")
    }

    #[test]
    fn a_taken_name_is_never_overwritten_and_a_lost_draft_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        let texts = |stem: &str| {
            let of = |ending| (ending, format!("{ending} of {stem}\n").into_bytes());
            vec![of("md"), of("html")]
        };
        let first = save(folder, "x", (draft(folder), "ndjson"), texts).expect("saved");
        let second = save(folder, "x", (draft(folder), "ndjson"), texts).expect("saved");
        let names = |saved: &SavedFiles| saved.reports.clone();
        assert_eq!(
            names(&first),
            ["x.md", "x.html"].map(|name| folder.join(name))
        );
        assert_eq!(
            names(&second),
            ["x-2.md", "x-2.html"].map(|name| folder.join(name))
        );
        let html = fs::read_to_string(&second.reports[1]).expect("there");
        assert_eq!(html, "html of x-2\n");
        let listed = files(folder).expect("listed").into_iter();
        let listed: Vec<_> = listed.map(|file| folder.join(file.name)).collect();
        assert_eq!(listed, [second.stream, first.stream]);
        drop(draft(folder));
        assert_eq!(fs::read_dir(folder).expect("listed").count(), 6);
    }

    #[test]
    fn one_taken_name_of_several_moves_all_of_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        fs::write(folder.join("x.html"), "somebody's").expect("writable");
        let texts = |_: &str| vec![("md", Vec::new()), ("html", Vec::new())];
        let saved = save(folder, "x", (draft(folder), "ndjson"), texts).expect("saved");
        assert_eq!(saved.stream, folder.join("x-2.ndjson"));
        assert!(!folder.join("x.md").exists());
        let kept = fs::read_to_string(folder.join("x.html")).expect("there");
        assert_eq!(kept, "somebody's");
    }
}
