//! A message as an occasion makes it, before it has words.

use chaos_common::record::{Check, Contact, Occasion, Time};

use super::{About, Alerts, Attachment, Message, Page, Severity, Values, Wording};

/// What an occasion has to tell.
pub(crate) struct Draft {
    pub(crate) occasion: Occasion,
    pub(crate) severity: Severity,
    pub(crate) time: Time,
    pub(crate) about: About,
    pub(crate) values: Values,
    pub(crate) page: Option<Page>,
    pub(crate) alerts: Option<Alerts>,
    pub(crate) link: Option<String>,
    pub(crate) attachment: Option<Attachment>,
    /// The people that it names.
    pub(crate) contacts: Vec<Contact>,
    /// What it should tell and the stream does not hold, as checks.
    pub(crate) gaps: Vec<Check>,
}

impl Draft {
    /// The message with these words.
    pub(crate) fn worded(&self, run: &str, event: &str, wording: Wording) -> Message {
        Message {
            event: event.to_owned(),
            run: run.to_owned(),
            occasion: self.occasion,
            severity: self.severity,
            time: self.time,
            about: self.about.clone(),
            wording,
            page: self.page,
            alerts: self.alerts.clone(),
            link: self.link.clone(),
            attachment: self.attachment.clone(),
            answers: std::collections::BTreeMap::new(),
            announced: None,
            addresses: Vec::new(),
            asks: None,
            acknowledge: None,
        }
    }
}
