//! What could not be sent yet, and what was sent: a folder that outlives the tool.
//!
//! ```text
//! outbox/EVENT.CHANNEL   a message on its way on one channel; locked while a process sends it
//! sent/EVENT.CHANNEL     what became of it
//! escalations/EVENT      an alarm that nobody has answered; locked while a process waits
//! acknowledged/EVENT     who answered it
//! acknowledge.key        what links that acknowledge are made with
//! ```
//!
//! A message is in the outbox before anything of it is sent, and leaves it when its fate is known.
//! A process that is killed leaves it there, and its lock goes with the process: whoever finds the
//! entry knows from its state whether the message may have arrived.

mod answer;
mod entry;
mod escalation;
mod file;
mod memory;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use self::entry::{Entry, State};
pub(crate) use self::escalation::{Begun, Kept as KeptEscalation, Open};
use crate::escalation::Key;
use crate::template::Message;

/// Why the spool can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {source}", .path.display())]
pub(crate) struct SpoolError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl SpoolError {
    fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError + use<> {
        let path = path.to_owned();
        move |source| SpoolError { what, path, source }
    }
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// The folder that is configured, else `chaos/notify` in `$XDG_STATE_HOME`; nothing where there
    /// is no home either.
    pub(crate) fn of(configured: Option<&PathBuf>) -> Option<Spool> {
        // A relative one is to be ignored, as the XDG specification says.
        let env = |name: &str| {
            let value = std::env::var_os(name).map(PathBuf::from);
            value.filter(|path| path.is_absolute())
        };
        let home = || env("HOME").map(|home| home.join(".local/state"));
        let state = || env("XDG_STATE_HOME").or_else(home);
        let folder = configured.cloned();
        let folder = folder.or_else(|| state().map(|state| state.join("chaos/notify")));
        folder.map(|folder| Spool { folder })
    }

    /// Puts a message in the outbox, for these recipients, and holds its lock. Nothing where this
    /// message is there for this channel: of several who try, one succeeds.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn put(
        &self,
        channel: &str,
        message: &Message,
        recipients: &[String],
    ) -> Result<Option<Entry>, SpoolError> {
        Entry::create(self, channel, message, recipients)
    }

    /// The entries of the outbox that no process is sending, oldest message first. What can't be
    /// read is given as the error that it is.
    pub(crate) fn waiting(&self) -> Vec<Result<Entry, SpoolError>> {
        let folder = self.outbox();
        let names = match file::names(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => return vec![Err(SpoolError::at("cannot list", &folder)(error))],
        };
        let entries = names.into_iter();
        let mut found: Vec<_> = entries
            .filter_map(|name| Entry::take(self, &name).transpose())
            .collect();
        found.sort_by_key(|entry| entry.as_ref().ok().map(|entry| entry.message().time));
        found
    }

    /// Whether another process is sending this message on this channel.
    pub(crate) fn is_being_sent(&self, event: &str, channel: &str) -> bool {
        file::is_held(&self.outbox().join(name(event, channel)))
    }

    /// What links that acknowledge are made with; made at the first use.
    ///
    /// # Errors
    /// It can't be read or written.
    pub(crate) fn key(&self) -> Result<Key, SpoolError> {
        const NAME: &str = "acknowledge.key";
        let path = self.folder.join(NAME);
        let read = || {
            let text = std::fs::read_to_string(&path)?;
            let not_a_key = || io::Error::new(io::ErrorKind::InvalidData, "it holds no key");
            Key::from_text(&text).ok_or_else(not_a_key)
        };
        let made = || {
            let key = Key::random()?;
            file::create(&self.folder, NAME, key.to_text().as_bytes())?;
            // Another process may have made it at the same time.
            read()
        };
        let key = read().or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => made(),
            _ => Err(error),
        });
        key.map_err(SpoolError::at("cannot use", &path))
    }

    fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    fn sent(&self) -> PathBuf {
        self.folder.join("sent")
    }

    fn escalations(&self) -> PathBuf {
        self.folder.join("escalations")
    }

    fn acknowledged(&self) -> PathBuf {
        self.folder.join("acknowledged")
    }
}

/// The name of a file for a message on a channel. Neither can lead out of the folder.
fn name(event: &str, channel: &str) -> String {
    format!("{}.{}", plain(event), plain(channel))
}

fn plain(text: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    text.chars().filter(is_plain).take(64).collect()
}
