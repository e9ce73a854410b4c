//! What a template can name.

use chaos_common::config;
use chaos_common::record::{Contact, Time};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{NOT_KNOWN, line};

/// The values that every template is given. All are there always: what is not known says so.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Values {
    /// The application's name.
    pub(crate) application: String,
    pub(crate) namespace: String,
    pub(crate) cluster: String,
    /// The experiment's name.
    pub(crate) experiment: String,
    /// The run's id.
    pub(crate) run: String,
    /// The plan's digest.
    pub(crate) digest: String,
    /// When it happened, or is to begin.
    pub(crate) time: String,
    /// When it is to be over at the latest.
    pub(crate) end: String,
    /// How long it takes at most, or took.
    pub(crate) duration: String,
    /// What is hit.
    pub(crate) targets: Vec<String>,
    /// How it ended, in a word.
    pub(crate) status: String,
    /// How quickly everything recovered, as `, recovered in 1.1 s`; empty where it is not measured.
    pub(crate) recovered: String,
    /// Why it was aborted, refused, or goes on in spite of a gate.
    pub(crate) reason: String,
    /// What was done.
    pub(crate) actions: Vec<String>,
    /// What is wrong.
    pub(crate) issues: Vec<String>,
    /// What callers of the services met.
    pub(crate) impact: Vec<String>,
    /// How the system is.
    pub(crate) system_status: String,
    pub(crate) findings: Vec<String>,
    pub(crate) next_steps: Vec<String>,
    /// Where the report is.
    pub(crate) report: String,
    /// The report itself, of a month.
    pub(crate) report_text: String,
    /// People to call.
    pub(crate) contacts: Vec<String>,
    /// The command that stops the experiment.
    pub(crate) stop: String,
    /// The commands that bring the system back.
    pub(crate) recover: Vec<String>,
    /// What the message lacks, and why; empty where it lacks nothing.
    pub(crate) lacks: String,
}

impl Default for Values {
    fn default() -> Values {
        let not_known = || NOT_KNOWN.to_owned();
        Values {
            application: not_known(),
            namespace: not_known(),
            cluster: not_known(),
            experiment: not_known(),
            run: not_known(),
            digest: not_known(),
            time: not_known(),
            end: not_known(),
            duration: not_known(),
            targets: Vec::new(),
            status: not_known(),
            recovered: String::new(),
            reason: not_known(),
            actions: Vec::new(),
            issues: Vec::new(),
            impact: Vec::new(),
            system_status: not_known(),
            findings: Vec::new(),
            next_steps: Vec::new(),
            report: not_known(),
            report_text: not_known(),
            contacts: Vec::new(),
            stop: not_known(),
            recover: Vec::new(),
            lacks: String::new(),
        }
    }
}

/// How times are written for the readers.
#[derive(Clone, Debug)]
pub(crate) struct Clock(pub(crate) TimeZone);

impl Clock {
    /// Local time and UTC: `2026-11-22 17:00:00 CET (16:00:00 UTC)`; once where both are the same.
    pub(crate) fn write(&self, time: Time) -> String {
        let local = time.0.to_zoned(self.0.clone());
        if local.offset().is_zero() {
            return time.human();
        }
        let utc = time.0.to_zoned(TimeZone::UTC);
        let form = if utc.date() == local.date() {
            "%H:%M:%S UTC"
        } else {
            "%Y-%m-%d %H:%M:%S UTC"
        };
        format!(
            "{} ({})",
            local.strftime("%Y-%m-%d %H:%M:%S %Z"),
            utc.strftime(form)
        )
    }
}

/// The people to call.
pub(crate) fn contacts(people: &[config::Contact]) -> Vec<Contact> {
    let contact = |c: &config::Contact| Contact {
        role: c.role.clone(),
        name: c.name.clone(),
        phone: c.phone.clone(),
    };
    people.iter().map(contact).collect()
}

/// The people to call, in the runbook's form.
pub(crate) fn contact_lines(people: &[config::Contact]) -> Vec<String> {
    let text = |c: &Contact| line(&format!("{}: {} - {}", c.role, c.name, c.phone));
    contacts(people).iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_and_utc_and_each_but_once() {
        let time: Time = serde_json::from_str("\"2026-11-22T23:30:00Z\"").expect("RFC 3339");
        let write = |zone: &str| Clock(TimeZone::get(zone).expect("a zone")).write(time);
        assert_eq!(write("UTC"), "2026-11-22 23:30:00 UTC");
        assert_eq!(
            write("America/New_York"),
            "2026-11-22 18:30:00 EST (23:30:00 UTC)"
        );
        assert_eq!(
            write("Europe/Berlin"),
            "2026-11-23 00:30:00 CET (2026-11-22 23:30:00 UTC)"
        );
    }
}
