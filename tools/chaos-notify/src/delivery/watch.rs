//! What is known of a message on its way at any moment: also when the tool is stopped.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::time::Instant;

use crate::spool::{Entry, SpoolError};

/// The longest time that the other side is waited for at one step.
const STEP: Duration = Duration::from_secs(10);

/// How far the present try has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing of it can have arrived.
    Before,
    /// It may have arrived.
    Sending,
}

/// One message on one channel.
#[derive(Debug)]
pub(crate) struct Watch {
    deadline: Instant,
    phase: Cell<Phase>,
    /// What a later call finds if this one dies; nothing where it can't be kept.
    entry: RefCell<Option<Entry>>,
    /// Why it could not be kept.
    trouble: RefCell<Option<SpoolError>>,
}

impl Watch {
    /// Until this moment; `entry` is what a later call finds if this one dies.
    pub(crate) fn new(deadline: Instant, entry: Option<Entry>) -> Watch {
        Watch {
            deadline,
            phase: Cell::new(Phase::Before),
            entry: RefCell::new(entry),
            trouble: RefCell::new(None),
        }
    }

    /// How long a step may wait for the other side.
    pub(crate) fn step(&self) -> Duration {
        self.left().min(STEP)
    }

    /// What is left of the time for all tries.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// From here on it may have arrived. Written down before it is true.
    pub(crate) fn may_arrive(&self) {
        if self.phase.replace(Phase::Sending) == Phase::Before {
            self.keep(Entry::sending);
        }
    }

    /// The try is over, and whoever is left certainly has not got it.
    pub(crate) fn did_not_arrive(&self, pending: &[String]) {
        self.phase.set(Phase::Before);
        self.keep(|entry| entry.waiting(pending));
    }

    /// How far it has come.
    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// The entry, to be removed or left where it is; and why it could not be kept up to date.
    pub(crate) fn into_entry(self) -> (Option<Entry>, Option<SpoolError>) {
        (self.entry.into_inner(), self.trouble.into_inner())
    }

    /// A spool that can't be written is told, and holds nothing up.
    fn keep(&self, write: impl FnOnce(&mut Entry) -> Result<(), SpoolError>) {
        let mut entry = self.entry.borrow_mut();
        if let Some(error) = entry.as_mut().and_then(|entry| write(entry).err()) {
            self.trouble.borrow_mut().get_or_insert(error);
        }
    }
}
