//! What becomes of a message, as types.

use std::time::Duration;

use chaos_common::record::ChannelOutcome;

/// What one try came to, for one recipient or for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The other side took it.
    Delivered,
    /// It certainly did not arrive, and asking again changes nothing.
    Refused,
    /// It certainly did not arrive, and may be tried again: at the earliest after this time.
    Later(Option<Duration>),
    /// It may have arrived, and nobody can tell.
    Unknown,
}

impl Fate {
    /// The word in records. What is put off until there is no time left has failed.
    pub(crate) fn outcome(self) -> ChannelOutcome {
        match self {
            Fate::Delivered => ChannelOutcome::Sent,
            Fate::Refused | Fate::Later(_) => ChannelOutcome::Failed,
            Fate::Unknown => ChannelOutcome::Unknown,
        }
    }

    /// Whether another try is due.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Fate::Later(_))
    }
}

/// What a service or a server said to one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The recipient; absent where the answer is for all.
    pub(crate) to: Option<String>,
    pub(crate) fate: Fate,
    /// Its own words, or what went wrong. Never a secret.
    pub(crate) words: String,
    /// Its own id for the message.
    pub(crate) receipt: Option<String>,
}

impl Answer {
    /// An answer for all recipients.
    pub(crate) fn new(fate: Fate, words: impl Into<String>) -> Answer {
        Answer {
            to: None,
            fate,
            words: words.into(),
            receipt: None,
        }
    }

    /// It was taken.
    pub(crate) fn delivered(words: impl Into<String>) -> Answer {
        Answer::new(Fate::Delivered, words)
    }

    /// It was refused for good.
    pub(crate) fn refused(words: impl Into<String>) -> Answer {
        Answer::new(Fate::Refused, words)
    }

    /// It did not arrive, and may be tried again.
    pub(crate) fn later(words: impl Into<String>) -> Answer {
        Answer::new(Fate::Later(None), words)
    }

    /// It may have arrived.
    pub(crate) fn unknown(words: impl Into<String>) -> Answer {
        Answer::new(Fate::Unknown, words)
    }

    /// The same, with the other side's id for the message.
    #[must_use]
    pub(crate) fn receipt(mut self, receipt: Option<String>) -> Answer {
        self.receipt = receipt;
        self
    }

    /// The same answer for one recipient.
    #[must_use]
    pub(crate) fn to(&self, to: &str) -> Answer {
        Answer {
            to: Some(to.to_owned()),
            ..self.clone()
        }
    }
}
