//! Who has acknowledged a message: the first answer stands.

use std::io;

use chaos_common::record::Acknowledgement;
use serde::{Deserialize, Serialize};

use super::{Spool, SpoolError, file, plain};
use crate::template::Message;

/// An answer to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answered {
    /// The run that the message is about.
    pub(crate) run: String,
    /// What it was about, in a line.
    pub(crate) subject: String,
    pub(crate) acknowledgement: Acknowledgement,
}

impl Spool {
    /// Who has acknowledged a message, if anybody has.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn answer(&self, event: &str) -> Result<Option<Answered>, SpoolError> {
        let path = self.acknowledged().join(plain(event));
        let read = std::fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match read {
            Ok(answered) => Ok(Some(answered)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SpoolError::at("cannot read", &path)(error)),
        }
    }

    /// Writes down who has acknowledged a message. Gives the answer that stands, which is the first.
    ///
    /// # Errors
    /// It can't be written: nobody will know of it.
    pub(crate) fn acknowledge(
        &self,
        message: &Message,
        acknowledgement: Acknowledgement,
    ) -> Result<Answered, SpoolError> {
        let answered = Answered {
            run: message.run.clone(),
            subject: message.wording.subject.clone(),
            acknowledgement,
        };
        let bytes = serde_json::to_vec(&answered).expect("it has string keys and no failing parts");
        let (folder, name) = (self.acknowledged(), plain(&message.event));
        let created = file::create(&folder, &name, &bytes);
        created.map_err(SpoolError::at("cannot write", &folder.join(name)))?;
        Ok(self.answer(&message.event)?.unwrap_or(answered))
    }
}
