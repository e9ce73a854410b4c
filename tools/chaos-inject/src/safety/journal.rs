//! The local journal of a run: written as things happen, a line at a time, each on the disk before
//! the next step. Every line holds a checksum (SHA-256) of the one before it, so that damage shows: a
//! line that was lost or garbled. It has no key, so it does not show who wrote a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chaos_common::record::{Check, Time};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::safety::journal_entry::{Entry, GuardianState};

/// Bytes that are kept free for the end of a run whose disk fills meanwhile.
const RESERVE: usize = 512 << 10;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    previous: String,
    /// Bytes in the file after the line that `previous` is of.
    length: u64,
}

/// Neither `$XDG_STATE_HOME` nor `$HOME` is set, so there is no place for a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither $XDG_STATE_HOME nor $HOME is set")]
pub struct NoStateFolder;

/// Folder of journals: `chaos/journal` in `$XDG_STATE_HOME`, else in `~/.local/state`.
///
/// # Errors
/// Neither is set.
pub fn folder() -> Result<PathBuf, NoStateFolder> {
    let env = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = env("XDG_STATE_HOME").or_else(|| env("HOME").map(|home| home.join(".local/state")));
    state
        .map(|state| state.join("chaos/journal"))
        .ok_or(NoStateFolder)
}

impl Journal {
    /// Makes the journal of a run in `folder`. The file and the folder are on the disk when this
    /// returns.
    pub fn create(folder: &Path, run: &str) -> io::Result<Journal> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let path = folder.join(format!("{run}.ndjson"));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        std::fs::write(reserve(&path), vec![0; RESERVE])?;
        // Else a crash may lose the name of a file whose lines are on the disk.
        File::open(folder)?.sync_all()?;
        Ok(Journal {
            file,
            path,
            previous: String::new(),
            length: 0,
        })
    }

    /// Opens a journal that another process began, to go on with it. A last line that was cut off
    /// is left so, and shows as such.
    pub fn reopen(path: &Path) -> io::Result<Journal> {
        let file = OpenOptions::new().append(true).open(path)?;
        let mut journal = Journal {
            file,
            path: path.to_owned(),
            previous: String::new(),
            length: 0,
        };
        journal.catch_up()?;
        Ok(journal)
    }

    /// Goes on after what is there now: a guardian that took this process for dead may have written.
    fn catch_up(&mut self) -> io::Result<()> {
        let text = std::fs::read_to_string(&self.path)?;
        self.length = text.len() as u64;
        if !text.is_empty() && !text.ends_with('\n') {
            self.file.write_all(b"\n")?;
            self.length += 1;
        }
        self.previous = text.lines().last().map(checksum).unwrap_or_default();
        Ok(())
    }

    /// Notes in the journal of a run that is over, where there is one, that nothing of it is left.
    pub fn conclude(path: &Path) {
        let end = Entry::guardian(GuardianState::Restored);
        // What can't be noted is looked at again the next time.
        let _ = Journal::reopen(path).and_then(|mut journal| {
            journal.free_reserve();
            journal.write(&end)
        });
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line and waits until it is on the disk. Where the disk is full, what was kept free for
    /// that is used.
    ///
    /// # Errors
    /// The disk is full, or gone. The next line may be written all the same.
    pub fn write(&mut self, what: &impl Serialize) -> io::Result<()> {
        match self.append(what) {
            Err(_) if self.free_reserve() => self.append(what),
            written => written,
        }
    }

    /// Gives back what was kept free; `false` if there is nothing any more.
    pub fn free_reserve(&self) -> bool {
        std::fs::remove_file(reserve(&self.path)).is_ok()
    }

    fn append(&mut self, what: &impl Serialize) -> io::Result<()> {
        if self.file.metadata()?.len() != self.length {
            self.catch_up()?;
        }
        let mut line =
            json!({ "time": Time::now(), "previous": self.previous, "what": what }).to_string();
        let checksum = checksum(&line);
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        // Only what is written is the line before: of a part, the next look at the length tells.
        self.previous = checksum;
        self.length += line.len() as u64;
        self.file.sync_data()
    }
}

/// The file whose room is kept for the end of a run, beside its journal.
fn reserve(journal: &Path) -> PathBuf {
    journal.with_extension("reserve")
}

/// A line as it stands in a journal.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// When it was written.
    pub time: Time,
    previous: String,
    /// What it tells.
    pub what: Value,
}

/// The lines of a journal up to the first that is damaged, and whether there is one:
/// `journal.chain`. A last line that was cut off is no damage: its writer died over it.
pub fn parse(text: &str) -> (Vec<Line>, Check) {
    const ID: &str = "journal.chain";
    let mut lines = Vec::new();
    let mut previous = String::new();
    for (n, line) in text.lines().enumerate() {
        match serde_json::from_str::<Line>(line) {
            Ok(read) if read.previous == previous => lines.push(read),
            Ok(_) => {
                let why = format!(
                    "line {} does not have the checksum of the one before: \
                     lines were changed or lost",
                    n + 1
                );
                return (lines, Check::fail(ID, "", why));
            }
            Err(_) if n + 1 == text.lines().count() => break,
            // A line that was cut off, and a writer that went on after it: the next one has the
            // checksum of the part that is left.
            Err(_) => {}
        }
        previous = checksum(line);
    }
    let message = format!("{} lines, each with the checksum of the last", lines.len());
    (lines, Check::pass(ID, "", message))
}

/// SHA-256 in hex.
fn checksum(line: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    #[test]
    fn a_guardian_that_takes_over_goes_on_with_the_checksums() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        journal.write(&json!("first")).expect("room on the disk");
        let mut later = Journal::reopen(journal.path()).expect("it is there");
        later.write(&json!("second")).expect("room on the disk");
        // The first one was not dead after all.
        journal.write(&json!("third")).expect("room on the disk");
        let text = std::fs::read_to_string(journal.path()).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        let previous =
            |n: usize| serde_json::from_str::<Value>(lines[n]).expect("JSON")["previous"].clone();
        assert_eq!(
            (previous(1), previous(2)),
            (checksum(lines[0]).into(), checksum(lines[1]).into())
        );
    }

    #[test]
    fn a_line_that_was_changed_or_lost_shows_and_one_that_was_cut_off_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        for n in 0..3 {
            journal.write(&json!({ "n": n })).expect("room on the disk");
        }
        let text = std::fs::read_to_string(journal.path()).expect("readable");
        let judged = |text: &str| {
            let (lines, chain) = parse(text);
            (lines.len(), chain.status)
        };
        assert_eq!(judged(&text), (3, Status::Pass));
        assert_eq!(
            judged(&text.replace("\"n\":1", "\"n\":7")),
            (2, Status::Fail)
        );
        let second = text.lines().nth(1).expect("there is one");
        assert_eq!(
            judged(&text.replace(&format!("{second}\n"), "")),
            (1, Status::Fail)
        );
        std::fs::write(journal.path(), &text[..text.len() - 9]).expect("writable");
        assert_eq!(judged(&text[..text.len() - 9]), (2, Status::Pass));
        Journal::reopen(journal.path())
            .expect("it is there")
            .write(&json!("more"))
            .expect("room on the disk");
        assert_eq!(
            judged(&std::fs::read_to_string(journal.path()).expect("readable")),
            (3, Status::Pass)
        );
    }

    #[test]
    fn a_disk_that_fills_gets_the_room_that_was_kept_and_the_checksums_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        journal.write(&json!("first")).expect("room on the disk");
        assert_eq!(
            std::fs::metadata(reserve(journal.path()))
                .expect("kept")
                .len(),
            512 << 10
        );
        let disk = (journal.file.try_clone().expect("open"), journal.length);
        journal.file = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .expect("there");
        journal.length = 0;
        let full = journal.write(&json!("second")).expect_err("no room at all");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(
            !reserve(journal.path()).exists(),
            "it was given up for this"
        );
        (journal.file, journal.length) = disk;
        journal.write(&json!("third")).expect("room again");
        let text = std::fs::read_to_string(journal.path()).expect("readable");
        let (lines, chain) = parse(&text);
        assert_eq!((lines.len(), chain.status), (2, Status::Pass), "{text}");
    }

    #[test]
    fn every_line_holds_the_checksum_of_the_one_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(&folder.path().join("a/b"), "run").expect("a journal");
        for n in 0..3 {
            journal.write(&json!({ "n": n })).expect("room on the disk");
        }
        let text = std::fs::read_to_string(journal.path()).expect("readable");
        let mut previous = String::new();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(value["previous"], previous);
            previous = checksum(line);
        }
        assert_eq!(text.lines().count(), 3);
    }
}
