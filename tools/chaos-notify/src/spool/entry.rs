//! One message on its way on one channel.

use std::fs::File;
use std::io::{self, Read as _};

use serde::{Deserialize, Serialize};

use super::{Spool, SpoolError, file, name};
use crate::template::Message;

/// The longest entry that is read. A message with its report is a few hundred kilobytes.
const MAX_ENTRY: u64 = 8 << 20;

/// A message in the outbox. Its lock is held as long as this value lives.
#[derive(Debug)]
pub(crate) struct Entry {
    spool: Spool,
    name: String,
    kept: Kept,
    /// Held as long as it lives.
    lock: File,
}

/// What is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    channel: String,
    state: State,
    /// Who has not got it yet, where the channel knows recipients by name.
    recipients: Vec<String>,
    message: Message,
}

/// How far it had come when the file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Whoever is named has certainly not got it.
    Waiting,
    /// A process was sending it: it may have arrived.
    Sending,
}

impl Entry {
    /// Writes it, as waiting; nothing where there is one of this message and channel.
    pub(super) fn create(
        spool: &Spool,
        channel: &str,
        message: &Message,
        recipients: &[String],
    ) -> Result<Option<Entry>, SpoolError> {
        let kept = Kept {
            channel: channel.to_owned(),
            state: State::Waiting,
            recipients: recipients.to_vec(),
            message: message.clone(),
        };
        let name = name(&message.event, channel);
        let folder = spool.outbox();
        let created = file::create(&folder, &name, &bytes(&kept));
        let created = created.map_err(SpoolError::at("cannot write", &folder.join(&name)))?;
        Ok(created.map(|lock| Entry {
            spool: spool.clone(),
            name,
            kept,
            lock,
        }))
    }

    /// Takes one that no process holds; nothing where one does.
    pub(super) fn take(spool: &Spool, name: &str) -> Result<Option<Entry>, SpoolError> {
        let path = spool.outbox().join(name);
        let error = |source| SpoolError::at("cannot read", &path)(source);
        let Some(lock) = file::take(&path).map_err(error)? else {
            return Ok(None);
        };
        let mut text = String::new();
        let mut limited = (&lock).take(MAX_ENTRY);
        limited.read_to_string(&mut text).map_err(error)?;
        let kept = serde_json::from_str(&text);
        let kept = kept.map_err(|e| error(io::Error::new(io::ErrorKind::InvalidData, e)))?;
        Ok(Some(Entry {
            spool: spool.clone(),
            name: name.to_owned(),
            kept,
            lock,
        }))
    }

    /// The channel that it goes on.
    pub(crate) fn channel(&self) -> &str {
        &self.kept.channel
    }

    pub(crate) fn message(&self) -> &Message {
        &self.kept.message
    }

    /// Who has not got it yet.
    pub(crate) fn recipients(&self) -> &[String] {
        &self.kept.recipients
    }

    /// How far it had come.
    pub(crate) fn state(&self) -> State {
        self.kept.state
    }

    /// From here on it may have arrived.
    pub(crate) fn sending(&mut self) -> Result<(), SpoolError> {
        self.kept.state = State::Sending;
        self.save()
    }

    /// These have certainly not got it.
    pub(crate) fn waiting(&mut self, recipients: &[String]) -> Result<(), SpoolError> {
        self.kept.state = State::Waiting;
        self.kept.recipients = recipients.to_vec();
        self.save()
    }

    /// Its fate is known: it leaves the outbox.
    pub(crate) fn remove(self) -> Result<(), SpoolError> {
        let folder = self.spool.outbox();
        let removed = file::remove(&folder, &self.name);
        removed.map_err(SpoolError::at("cannot remove", &folder.join(&self.name)))
    }

    fn save(&mut self) -> Result<(), SpoolError> {
        self.lock = write(&self.spool, &self.name, &self.kept)?;
        Ok(())
    }
}

fn write(spool: &Spool, name: &str, kept: &Kept) -> Result<File, SpoolError> {
    let folder = spool.outbox();
    let written = file::write(&folder, name, &bytes(kept));
    written.map_err(SpoolError::at("cannot write", &folder.join(name)))
}

fn bytes(kept: &Kept) -> Vec<u8> {
    serde_json::to_vec(kept).expect("a message has string keys and no failing parts")
}
