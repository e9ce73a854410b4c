//! What was sent before, so that a repetition of the same message is known as one.

use std::io;
use std::time::Duration;

use chaos_common::record::{ChannelOutcome, Time};
use serde::{Deserialize, Serialize};

use super::{Spool, SpoolError, file, name};
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
        let names = file::names(&self.sent()).unwrap_or_default();
        let of_channel = format!(".{channel}");
        let own = name(&message.event, channel);
        let others = names.iter().filter(|name| **name != own);
        let mut memories = others
            .filter(|name| name.ends_with(&of_channel))
            .filter_map(|name| std::fs::read(self.sent().join(name)).ok())
            .filter_map(|text| serde_json::from_slice::<Memory>(&text).ok());
        memories.any(|memory| memory.run == message.run && memory.of >= message.time)
    }

    /// Forgets what is old.
    pub(crate) fn forget_old(&self) -> io::Result<()> {
        let folder = self.sent();
        for name in file::names(&folder).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(error),
        })? {
            let written = std::fs::metadata(folder.join(&name))?.modified()?;
            if written.elapsed().is_ok_and(|age| age > KEPT) {
                file::remove(&folder, &name)?;
            }
        }
        Ok(())
    }
}
