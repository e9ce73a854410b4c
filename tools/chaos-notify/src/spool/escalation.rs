//! An alarm that nobody has answered, as far as it has come.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chaos_common::record::{ChannelOutcome, ChannelResult, EscalationStep, Time};
use serde::{Deserialize, Serialize};

use super::{Spool, SpoolError, file, plain};
use crate::escalation::Position;
use crate::template::Message;

/// An escalation. Its lock is held as long as this value lives: nobody else carries it on.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) kept: Kept,
    /// Where it is; nowhere where the spool can't be used.
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    folder: PathBuf,
    name: String,
    /// Held as long as it lives.
    lock: File,
}

/// What is in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The first message, without the link that acknowledges it.
    pub(crate) message: Message,
    /// When sending it began.
    pub(crate) started: Time,
    /// What became of it.
    pub(crate) first: Vec<ChannelResult>,
    /// Who was told after it.
    pub(crate) told: Vec<EscalationStep>,
}

/// What came of beginning an escalation.
#[derive(Debug)]
pub(crate) enum Begun {
    /// It is a new one, or one that a killed process left.
    Here(Box<Open>),
    /// Another process carries it on.
    Elsewhere,
}

impl Spool {
    /// Begins an escalation, or takes it up where a killed process left it.
    ///
    /// # Errors
    /// It can't be written or read.
    pub(crate) fn escalate(&self, kept: Kept) -> Result<Begun, SpoolError> {
        let (folder, name) = (self.escalations(), plain(&kept.message.event));
        let error = SpoolError::at("cannot write", &folder.join(&name));
        let created = file::create(&folder, &name, &bytes(&kept)).map_err(error)?;
        if let Some(lock) = created {
            let place = Some(Place { folder, name, lock });
            return Ok(Begun::Here(Box::new(Open { kept, place })));
        }
        let left = self.take(&name)?;
        Ok(left.map_or(Begun::Elsewhere, |open| Begun::Here(Box::new(open))))
    }

    /// The escalations that killed processes left.
    pub(crate) fn escalations_left(&self) -> Vec<Result<Open, SpoolError>> {
        let folder = self.escalations();
        let names = match file::names(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => return vec![Err(SpoolError::at("cannot list", &folder)(error))],
        };
        let left = names.into_iter();
        left.filter_map(|name| self.take(&name).transpose())
            .collect()
    }

    /// An escalation that goes on, wherever; nothing where nobody waits for an answer.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn escalation(&self, event: &str) -> Result<Option<Kept>, SpoolError> {
        let path = self.escalations().join(plain(event));
        let read = std::fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?));
        match read {
            Ok(kept) => Ok(Some(kept)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SpoolError::at("cannot read", &path)(error)),
        }
    }

    fn take(&self, name: &str) -> Result<Option<Open>, SpoolError> {
        let path = self.escalations().join(name);
        let error = |source| SpoolError::at("cannot read", &path)(source);
        let Some(lock) = file::take(&path).map_err(error)? else {
            return Ok(None);
        };
        let kept = io::read_to_string(&lock).and_then(|text| Ok(serde_json::from_str(&text)?));
        Ok(Some(Open {
            kept: kept.map_err(error)?,
            place: Some(Place {
                folder: self.escalations(),
                name: name.to_owned(),
                lock,
            }),
        }))
    }
}

impl Open {
    /// One that no other process can carry on.
    pub(crate) fn unkept(kept: Kept) -> Open {
        Open { kept, place: None }
    }

    /// Writes down who was told.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn told(&mut self, step: EscalationStep) -> Result<(), SpoolError> {
        self.kept.told.push(step);
        self.save()
    }

    /// Writes down what became of the first message.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn sent(&mut self, first: &[ChannelResult]) -> Result<(), SpoolError> {
        self.kept.first = first.to_vec();
        self.save()
    }

    fn save(&mut self) -> Result<(), SpoolError> {
        let Some(place) = &mut self.place else {
            return Ok(());
        };
        let written = file::write(&place.folder, &place.name, &bytes(&self.kept));
        let error = SpoolError::at("cannot write", &place.folder.join(&place.name));
        place.lock = written.map_err(error)?;
        Ok(())
    }

    /// Nobody is waited for any more: no other process carries it on.
    ///
    /// # Errors
    /// It can't be removed.
    pub(crate) fn end(&mut self) -> Result<(), SpoolError> {
        let Some(place) = self.place.take() else {
            return Ok(());
        };
        let removed = file::remove(&place.folder, &place.name);
        removed.map_err(SpoolError::at(
            "cannot remove",
            &place.folder.join(&place.name),
        ))
    }
}

impl Kept {
    /// How far it has come by the clock on the wall, which is all that is left of a killed process.
    pub(crate) fn position(&self, now: Time) -> Position {
        let latest = self.told.last().map_or(self.started, |step| step.time);
        let since = u64::try_from(now.since_ms(latest));
        Position {
            told: self.told.len(),
            in_vain: self.in_vain(),
            since: since.ok().map(Duration::from_millis),
        }
    }

    /// Whether the latest message to a contact certainly reached nobody.
    pub(crate) fn in_vain(&self) -> bool {
        let failed = |result: &ChannelResult| result.outcome == ChannelOutcome::Failed;
        let latest = self.told.last();
        latest.is_some_and(|step| step.channels.iter().all(failed))
    }

    /// Each channel and receipt that an answer could be known by.
    pub(crate) fn receipts(&self) -> impl Iterator<Item = (&str, &str)> {
        let later = self.told.iter().flat_map(|step| &step.channels);
        let all = self.first.iter().chain(later);
        all.filter_map(|result| Some((result.channel.as_str(), result.receipt.as_deref()?)))
    }
}

fn bytes(kept: &Kept) -> Vec<u8> {
    serde_json::to_vec(kept).expect("it has string keys and no failing parts")
}
