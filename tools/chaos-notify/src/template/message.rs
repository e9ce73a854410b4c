//! A message before it goes to a channel.

use std::collections::BTreeMap;

use chaos_common::record::{Occasion, Time};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Builder;

use super::{Page, Wording};

/// What is sent. It holds no secret and can be kept: the spool does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Its own id: see [`Message::id`].
    pub(crate) event: String,
    /// The run that it is about.
    pub(crate) run: String,
    pub(crate) occasion: Occasion,
    pub(crate) severity: Severity,
    /// When that happened of which it tells.
    pub(crate) time: Time,
    pub(crate) about: About,
    pub(crate) wording: Wording,
    /// What the status page says; `None` where the occasion is none of its readers' concern.
    pub(crate) page: Option<Page>,
    /// Alerts that the plan expects, while the experiment runs; `None` where it is over, or where
    /// the occasion changes nothing on that.
    pub(crate) alerts: Option<Alerts>,
    /// Where more is to be read.
    pub(crate) link: Option<String>,
    /// A file that goes with a mail.
    pub(crate) attachment: Option<Attachment>,
    /// The receipt of the message that this one answers, by the name of the channel.
    pub(crate) answers: BTreeMap<String, String>,
    /// The subject of that message.
    #[serde(default)]
    pub(crate) announced: Option<String>,
    /// Where it goes instead of the channel's own addresses; empty where it goes to those.
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// What an acknowledgement of it answers; `None` where nobody waits for one.
    #[serde(default)]
    pub(crate) asks: Option<Asks>,
    /// The link that acknowledges it. It is a secret of its readers, and never kept.
    #[serde(skip)]
    pub(crate) acknowledge: Option<String>,
}

impl Message {
    /// The id of a message: a UUID made of its run, its occasion and what it says. A repetition has
    /// the same, and other words another.
    pub(crate) fn id(run: &str, occasion: Occasion, wording: &Wording) -> String {
        uuid_of([run, occasion.word(), &wording.subject, &wording.text])
    }

    /// The id of a message that belongs to another one: the same for the same part.
    pub(crate) fn part(event: &str, part: &str) -> String {
        uuid_of([event, part])
    }

    /// Its text, with the link that acknowledges it.
    pub(crate) fn text(&self) -> String {
        let text = &self.wording.text;
        match &self.acknowledge {
            Some(url) => format!("{text}\nAcknowledge: {url}\n"),
            None => text.clone(),
        }
    }

    /// The line or two for chat, with that link.
    pub(crate) fn short(&self) -> String {
        let short = &self.wording.short;
        match &self.acknowledge {
            Some(url) => format!("{short}\nAcknowledge: {url}"),
            None => short.clone(),
        }
    }

    /// Its own links: no other text of it becomes one.
    pub(crate) fn links(&self) -> Vec<&str> {
        let own = self.link.iter().chain(&self.acknowledge);
        own.map(String::as_str).collect()
    }

    /// The receipt of the message that this one answers on a channel.
    pub(crate) fn answers(&self, channel: &str) -> Option<&str> {
        self.answers.get(channel).map(String::as_str)
    }
}

/// A UUID made of texts: other texts, or the same divided in another way, have another.
fn uuid_of<const N: usize>(parts: [&str; N]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let bytes = digest[..16].try_into().expect("a digest has 32 bytes");
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// How bad it is, in the words of the services that page people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

impl Severity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

/// What a message is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) application: String,
    pub(crate) namespace: String,
    pub(crate) cluster: String,
    pub(crate) experiment: String,
}

/// Alerts that an experiment is expected to raise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Alerts {
    /// They are expected in this time.
    Expected {
        names: Vec<String>,
        from: Time,
        until: Time,
    },
    /// The experiment is over: they count again.
    Over,
}

/// What an acknowledgement answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asks {
    /// The id of the first message, to which all answer.
    pub(crate) event: String,
    /// Who is asked: 0 for all, else so many a contact.
    pub(crate) whom: usize,
}

/// A file that goes with a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(run: &str, occasion: Occasion, subject: &str, text: &str) -> String {
        let wording = Wording {
            subject: subject.into(),
            text: text.into(),
            short: "s".into(),
        };
        Message::id(run, occasion, &wording)
    }

    #[test]
    fn the_id_is_of_run_occasion_and_words() {
        let one = id("r", Occasion::Critical, "a", "b");
        assert_eq!(one, id("r", Occasion::Critical, "a", "b"));
        assert_eq!(one.len(), 36);
        for other in [
            id("s", Occasion::Critical, "a", "b"),
            id("r", Occasion::Aborted, "a", "b"),
            id("r", Occasion::Critical, "a", "c"),
            id("r", Occasion::Critical, "ab", ""),
        ] {
            assert_ne!(one, other);
        }
    }
}
