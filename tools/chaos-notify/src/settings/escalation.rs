//! Who is told further until somebody acknowledges a critical message.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::config::Span;
use schemars::JsonSchema;
use serde::Deserialize;

/// `[notify.escalation]`: what `--escalate` does.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Escalation {
    /// Where readers reach `chaos-notify ack-server`, such as `https://ops.example.com/ack`: then
    /// critical messages hold a link that acknowledges them.
    pub(crate) link: Option<String>,
    /// When the wait ends although nobody has answered, counted from the first message.
    pub(crate) end: Span,
    /// The contacts that are told one after the other: `[[notify.escalation.step]]`.
    #[serde(rename = "step")]
    pub(crate) steps: Vec<Step>,
}

/// A contact who is told if nobody has answered by then.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The role of a `[[contact]]`.
    pub(crate) contact: String,
    /// When, counted from the first message.
    pub(crate) after: Span,
    /// On which channels, by name, and there at which addresses; an empty list means the channel's
    /// own.
    pub(crate) to: BTreeMap<String, Vec<String>>,
}

impl Default for Escalation {
    fn default() -> Escalation {
        Escalation {
            link: None,
            end: Span::seconds(60 * 60),
            steps: Vec::new(),
        }
    }
}

/// An escalation that can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EscalationError {
    #[error("notify.escalation.step: {0:?} is told nowhere")]
    ToldNowhere(String),
    #[error("notify.escalation.step: {0:?} comes before the one above it")]
    OutOfOrder(String),
    #[error("notify.escalation.end comes before the last step")]
    EndsEarly,
    #[error("notify.escalation.link is no URL of http or https without a query")]
    NotALink,
    #[error("notify.escalation.step: no [[contact]] has the role {0:?}")]
    NoContact(String),
    #[error(
        "notify.escalation: nobody could acknowledge; give notify.escalation.link, a token of \
         Slack, or notify.pagerduty.token"
    )]
    NobodyCanAcknowledge,
}

impl Escalation {
    /// Whether anything of it is configured.
    pub(crate) fn is_given(&self) -> bool {
        self.link.is_some() || !self.steps.is_empty()
    }

    /// The times of the steps, counted from the first message.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.steps.iter().map(|step| step.after.0).collect()
    }

    /// Whether it can be carried out. `roles` are those of the contacts.
    ///
    /// # Errors
    /// Steps, end or link are wrong.
    pub(crate) fn check(&self, roles: &[&str]) -> Result<(), EscalationError> {
        let mut before = Duration::ZERO;
        for step in &self.steps {
            let contact = || step.contact.clone();
            if !roles.contains(&step.contact.as_str()) {
                return Err(EscalationError::NoContact(contact()));
            }
            if step.to.is_empty() {
                return Err(EscalationError::ToldNowhere(contact()));
            }
            if step.after.0 < before {
                return Err(EscalationError::OutOfOrder(contact()));
            }
            before = step.after.0;
        }
        if self.end.0 <= before {
            return Err(EscalationError::EndsEarly);
        }
        match &self.link {
            Some(link) if !is_link(link) => Err(EscalationError::NotALink),
            _ => Ok(()),
        }
    }
}

fn is_link(text: &str) -> bool {
    let url = reqwest::Url::parse(text);
    url.is_ok_and(|url| {
        let plain = url.query().is_none() && url.fragment().is_none() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && plain
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), EscalationError> {
        let escalation: Escalation = toml::from_str(text).expect("well formed");
        escalation.check(&["Primary", "Secondary"])
    }

    const STEPS: &str = "[[step]]\ncontact = \"Primary\"\nafter = \"0s\"\nto = { mail = [] }\n\
        [[step]]\ncontact = \"Secondary\"\nafter = \"5m\"\nto = { mail = [\"a@b.c\"] }\n";

    #[test]
    fn steps_are_in_order_and_lead_to_contacts_before_the_end() {
        assert_eq!(check(STEPS), Ok(()));
        for (given, error) in [
            (
                STEPS.replace("\"Secondary\"", "\"Boss\""),
                EscalationError::NoContact("Boss".into()),
            ),
            (
                STEPS.replace("\"0s\"", "\"9m\""),
                EscalationError::OutOfOrder("Secondary".into()),
            ),
            (
                STEPS.replace("{ mail = [] }", "{}"),
                EscalationError::ToldNowhere("Primary".into()),
            ),
            (format!("end = \"5m\"\n{STEPS}"), EscalationError::EndsEarly),
            (
                format!("link = \"ops.example.com\"\n{STEPS}"),
                EscalationError::NotALink,
            ),
            (
                format!("link = \"https://ops.example.com/?a=b\"\n{STEPS}"),
                EscalationError::NotALink,
            ),
        ] {
            assert_eq!(check(&given), Err(error), "{given}");
        }
    }
}
