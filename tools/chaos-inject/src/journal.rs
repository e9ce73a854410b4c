//! The local journal of a run: written as things happen, a line at a time, each on the disk before
//! the next step. Every line holds the digest of the one before it, so that a line that was changed
//! or lost later shows.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use chaos_common::record::Time;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    previous: String,
}

/// Folder of journals: `chaos/journal` in `$XDG_STATE_HOME`, else in `~/.local/state`.
pub fn folder() -> Result<PathBuf, String> {
    let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = env("XDG_STATE_HOME").or_else(|| env("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("chaos/journal")).ok_or_else(|| "neither $XDG_STATE_HOME nor $HOME is set".to_owned())
}

impl Journal {
    /// Makes the journal of a run in `folder`. The file and the folder are on the disk when this returns.
    pub fn create(folder: &Path, run: &str) -> io::Result<Journal> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let path = folder.join(format!("{run}.ndjson"));
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        File::open(folder)?.sync_all()?;
        Ok(Journal { file, path, previous: String::new() })
    }

    /// Opens a journal that another process began, to go on with it. A last line that was cut off is
    /// left so, and shows as such.
    pub fn reopen(path: &Path) -> io::Result<Journal> {
        let text = std::fs::read_to_string(path)?;
        let mut file = OpenOptions::new().append(true).open(path)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let previous = text.lines().last().map(digest).unwrap_or_default();
        Ok(Journal { file, path: path.to_owned(), previous })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line and waits until it is on the disk.
    pub fn write(&mut self, what: &Value) -> io::Result<()> {
        let mut line = json!({ "time": Time::now(), "previous": self.previous, "what": what }).to_string();
        self.previous = digest(&line);
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()
    }
}

/// SHA-256 in hex.
fn digest(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_over_goes_on_with_the_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        journal.write(&json!("first")).expect("room on the disk");
        let mut later = Journal::reopen(journal.path()).expect("it is there");
        later.write(&json!("second")).expect("room on the disk");
        let text = std::fs::read_to_string(journal.path()).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        let second: Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(second["previous"], digest(lines[0]));
    }

    #[test]
    fn every_line_holds_the_digest_of_the_one_before() {
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
            previous = digest(line);
        }
        assert_eq!(text.lines().count(), 3);
    }
}
