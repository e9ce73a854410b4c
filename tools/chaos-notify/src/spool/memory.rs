//! What was sent before, so that a repetition of the same message is known as one.

use std::io;
use std::path::Path;
use std::time::Duration;

use chaos_common::record::{ChannelOutcome, Occasion, Time};
use serde::{Deserialize, Serialize};

use super::{Spool, SpoolError, file, name, plain};
use crate::template::Message;

/// How long it is remembered: longer than any run takes, and than anybody repeats one.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What became of a message on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// When its fate was known.
    pub(crate) time: Time,
    /// The run that it was about.
    pub(crate) run: String,
    /// What it told; absent in files of versions that did not keep it.
    #[serde(default)]
    pub(crate) occasion: Option<Occasion>,
    /// When that happened of which it told.
    pub(crate) of: Time,
    pub(crate) outcome: ChannelOutcome,
    /// The other side's own id for it.
    #[serde(default)]
    pub(crate) receipt: Option<String>,
}

impl Spool {
    /// What became of a message on a channel, if that is remembered.
    pub(crate) fn remembered(&self, event: &str, channel: &str) -> Option<Memory> {
        let text = std::fs::read(self.sent().join(name(event, channel))).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Remembers what became of a message on a channel.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn remember(
        &self,
        message: &Message,
        channel: &str,
        outcome: ChannelOutcome,
        receipt: Option<String>,
    ) -> Result<(), SpoolError> {
        let memory = Memory {
            time: Time::now(),
            run: message.run.clone(),
            occasion: Some(message.occasion),
            of: message.time,
            outcome,
            receipt,
        };
        let bytes = serde_json::to_vec(&memory).expect("it has string keys and no failing parts");
        let (folder, name) = (self.sent(), name(&message.event, channel));
        let written = file::write(&folder, &name, &bytes);
        written.map_err(SpoolError::at("cannot write", &folder.join(&name)))?;
        Ok(())
    }

    /// Whether a later message of the same run has gone out on the same channel.
    pub(crate) fn is_overtaken(&self, message: &Message, channel: &str) -> bool {
        let of_channel = format!(".{}", plain(channel));
        let own = name(&message.event, channel);
        let mut others = self.memories(|name| *name != own && name.ends_with(&of_channel));
        others.any(|memory| memory.run == message.run && memory.of >= message.time)
    }

    /// Whether it was told since then that a run has ended.
    pub(crate) fn is_over(&self, run: &str, since: Time) -> bool {
        let is_end = |occasion| matches!(occasion, Occasion::Completed | Occasion::Aborted);
        self.memories(|_| true).any(|memory| {
            memory.run == run && memory.time > since && memory.occasion.is_some_and(is_end)
        })
    }

    fn memories(&self, which: impl Fn(&String) -> bool) -> impl Iterator<Item = Memory> {
        let names = file::names(&self.sent()).unwrap_or_default();
        let names = names.into_iter().filter(move |name| which(name));
        let folder = self.sent();
        names
            .filter_map(move |name| std::fs::read(folder.join(name)).ok())
            .filter_map(|text| serde_json::from_slice(&text).ok())
    }

    /// Forgets what is old.
    pub(crate) fn forget_old(&self) -> io::Result<()> {
        for folder in [self.sent(), self.acknowledged()] {
            forget(&folder)?;
        }
        Ok(())
    }
}

fn forget(folder: &Path) -> io::Result<()> {
    let names = file::names(folder).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Err(error),
    })?;
    for name in names {
        let written = std::fs::metadata(folder.join(&name))?.modified()?;
        if written.elapsed().is_ok_and(|age| age > KEPT) {
            file::remove(folder, &name)?;
        }
    }
    Ok(())
}
