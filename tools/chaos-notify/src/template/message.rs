//! A message before it goes to the channels.

use chaos_common::config::{self, Config};
use chaos_common::record::{Check, Contact, Occasion};

use super::line;

/// What is sent.
pub(crate) struct Message {
    pub(crate) occasion: Occasion,
    /// Subject of the mail. Never holds text from the stream.
    pub(crate) subject: &'static str,
    /// Text of the mail.
    pub(crate) text: String,
    /// The one line for chat.
    pub(crate) short: String,
    /// What the status page says; `None` where the occasion is none of its readers' concern.
    pub(crate) page: Option<Page>,
    /// Whether the text names the contacts.
    pub(crate) names_contacts: bool,
    /// What the message should tell and the stream does not hold, as checks.
    pub(crate) gaps: Vec<Check>,
}

/// A status for the status page. Its readers are the public: it tells nothing of the inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) status: &'static str,
    pub(crate) message: &'static str,
}

impl Page {
    pub(crate) const MAINTENANCE: Page = Page {
        status: "maintenance",
        message: "Chaos Engineering Experiment in Progress",
    };
    pub(crate) const OPERATIONAL: Page = Page {
        status: "operational",
        message: "Chaos Engineering Experiment is over; all systems are operational",
    };
    pub(crate) const DEGRADED: Page = Page {
        status: "degraded",
        message: "Chaos Engineering Experiment is over; the system is being looked at",
    };
    pub(crate) const MAJOR_OUTAGE: Page = Page {
        status: "major_outage",
        message: "The system is impaired; we are working on it",
    };
}

/// The people to call.
pub(crate) fn contacts(config: &Config) -> Vec<Contact> {
    let contact = |c: &config::Contact| Contact {
        role: c.role.clone(),
        name: c.name.clone(),
        phone: c.phone.clone(),
    };
    config.contacts.iter().map(contact).collect()
}

/// The people to call, in the runbook's form.
pub(crate) fn contact_lines(config: &Config) -> Vec<String> {
    let text = |c: &Contact| line(&format!("{}: {} - {}", c.role, c.name, c.phone));
    contacts(config).iter().map(text).collect()
}
