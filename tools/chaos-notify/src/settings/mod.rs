//! `[notify]`: the channels, who is told what on which, and how.

mod environment;
mod escalation;
mod require;
mod several;
#[cfg(test)]
mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chaos_common::config::{Loaded, Span};
use chaos_common::exit::Failure;
use chaos_common::record::Occasion;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::environment::Environment;
pub(crate) use self::escalation::{Escalation, EscalationError, Step};
pub(crate) use self::require::Require;
pub(crate) use self::several::Several;
use crate::channels::{alertmanager, mail, pagerduty, slack, status_page, teams, webhook};
use crate::template::Clock;

/// `[notify]`: each channel that is configured is used, unless `routes` says otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Longest time for all tries on one channel. The channels are used at the same time.
    pub(crate) deadline: Span,
    /// The time zone that times are written in beside UTC, such as `Europe/Berlin`; the machine's
    /// if left out.
    pub(crate) timezone: Option<String>,
    /// Folder of what could not be sent yet, and of what was sent; `chaos/notify` in
    /// `$XDG_STATE_HOME` if left out.
    pub(crate) spool: Option<PathBuf>,
    /// Which channels must take a message: `all`, `any`, or the name of one. `--require` goes
    /// before it.
    pub(crate) require: Require,
    /// The channels of an occasion, by name; all of them for an occasion that is left out.
    pub(crate) routes: BTreeMap<Occasion, Vec<String>>,
    /// A team's own templates: files by `OCCASION` or `CHANNEL/OCCASION`.
    pub(crate) templates: BTreeMap<String, PathBuf>,
    /// Who is told further until somebody acknowledges a critical message.
    pub(crate) escalation: Escalation,
    /// Other addresses and contacts, for messages about some namespaces or clusters.
    #[serde(rename = "environment")]
    pub(crate) environments: Vec<Environment>,
    /// Mail by SMTP.
    pub(crate) mail: Several<mail::Settings>,
    /// Slack.
    pub(crate) slack: Several<slack::Settings>,
    /// A status page's API.
    pub(crate) status_page: Several<status_page::Settings>,
    /// Any receiver of Standard Webhooks.
    pub(crate) webhook: Several<webhook::Settings>,
    /// PagerDuty, which pages people when an experiment is aborted or critical.
    pub(crate) pagerduty: Several<pagerduty::Settings>,
    /// A Microsoft Teams workflow.
    pub(crate) teams: Several<teams::Settings>,
    /// Silences in an Alertmanager, for the alerts that the plan expects.
    pub(crate) alertmanager: Several<alertmanager::Settings>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            deadline: Span::seconds(30),
            timezone: None,
            spool: None,
            require: Require::All,
            routes: BTreeMap::new(),
            templates: BTreeMap::new(),
            escalation: Escalation::default(),
            environments: Vec::new(),
            mail: Several::default(),
            slack: Several::default(),
            status_page: Several::default(),
            webhook: Several::default(),
            pagerduty: Several::default(),
            teams: Several::default(),
            alertmanager: Several::default(),
        }
    }
}

impl Settings {
    /// What the configuration says, with paths that count from its folder.
    ///
    /// # Errors
    /// A key is unknown, a value is wrong, or a name leads nowhere: a usage error.
    pub(crate) fn of(loaded: &Loaded) -> Result<Settings, Failure> {
        let table = &loaded.config.notify;
        let mut settings: Settings = table.settings()?;
        let folder = loaded.path.as_deref().and_then(Path::parent);
        settings.anchor(folder.unwrap_or(Path::new("")));
        settings
            .names()
            .map_err(|error| table.error(&error.to_string()))?;
        Ok(settings)
    }

    /// How times are written.
    ///
    /// # Errors
    /// There is no such time zone: a usage error.
    pub(crate) fn clock(&self) -> Result<Clock, Failure> {
        let Some(name) = &self.timezone else {
            return Ok(Clock(TimeZone::system()));
        };
        TimeZone::get(name).map(Clock).map_err(|error| {
            Failure::usage(format!("notify.timezone: {error}"))
                .hint("name one as in Europe/Berlin or America/New_York")
        })
    }

    /// Makes relative paths count from the configuration's folder.
    fn anchor(&mut self, folder: &Path) {
        let paths = self.templates.values_mut().chain(&mut self.spool);
        for path in paths {
            *path = folder.join(&*path);
        }
        self.mail.anchor(folder);
        self.slack.anchor(folder);
        self.status_page.anchor(folder);
        self.webhook.anchor(folder);
        self.pagerduty.anchor(folder);
        self.teams.anchor(folder);
        self.alertmanager.anchor(folder);
    }

    /// The name of every channel, in the order in which the tool knows them.
    ///
    /// # Errors
    /// A name is not one, there are two of it, or a route or template leads to none.
    pub(crate) fn names(&self) -> Result<Vec<String>, NameError> {
        let mut names: Vec<String> = Vec::new();
        for (kind, given) in [
            ("mail", self.mail.names()),
            ("slack", self.slack.names()),
            ("status-page", self.status_page.names()),
            ("webhook", self.webhook.names()),
            ("pagerduty", self.pagerduty.names()),
            ("teams", self.teams.names()),
            ("alertmanager", self.alertmanager.names()),
        ] {
            for name in several::named(kind, given) {
                if !is_name(&name) {
                    return Err(NameError::NotAName(name));
                }
                if names.contains(&name) {
                    return Err(NameError::Twice(name));
                }
                names.push(name);
            }
        }
        self.check_routes(&names)?;
        self.check_addresses(&names)?;
        Ok(names)
    }

    fn check_routes(&self, names: &[String]) -> Result<(), NameError> {
        let known = |name: &str| names.iter().any(|known| known == name);
        for (occasion, route) in &self.routes {
            if let Some(nowhere) = route.iter().find(|name| !known(name)) {
                return Err(NameError::Nowhere {
                    key: format!("notify.routes.{}", occasion.word()),
                    name: nowhere.clone(),
                    known: names.join(", "),
                });
            }
        }
        if let Require::Channel(name) = &self.require
            && !known(name)
        {
            return Err(NameError::Nowhere {
                key: "notify.require".to_owned(),
                name: name.clone(),
                known: names.join(", "),
            });
        }
        for purpose in self.templates.keys() {
            let (channel, occasion) = purpose.rsplit_once('/').unwrap_or(("", purpose));
            let is_occasion = serde_json::from_value::<Occasion>(occasion.into()).is_ok();
            if !is_occasion || !(channel.is_empty() || known(channel)) {
                return Err(NameError::NoPurpose(purpose.clone()));
            }
        }
        Ok(())
    }

    /// Other addresses are those of channels that there are.
    fn check_addresses(&self, names: &[String]) -> Result<(), NameError> {
        let fits_nothing = |one: &Environment| one.namespaces.is_empty() && one.clusters.is_empty();
        if self.environments.iter().any(fits_nothing) {
            return Err(NameError::FitsNothing);
        }
        let steps = self.escalation.steps.iter();
        let steps = steps.map(|step| ("notify.escalation.step.to", &step.to));
        let environments = self.environments.iter();
        let environments = environments.map(|one| ("notify.environment.to", &one.to));
        for (key, to) in steps.chain(environments) {
            if let Some(name) = to.keys().find(|name| !names.contains(name)) {
                return Err(NameError::Nowhere {
                    key: key.to_owned(),
                    name: name.clone(),
                    known: names.join(", "),
                });
            }
        }
        Ok(())
    }

    /// Whether an occasion is told on a channel.
    pub(crate) fn routed(&self, occasion: Occasion, channel: &str) -> bool {
        let route = self.routes.get(&occasion);
        route.is_none_or(|route| route.iter().any(|name| name == channel))
    }
}

/// A name that leads nowhere.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("{0:?} is no name of a channel: it has lower case letters, digits and hyphens")]
    NotAName(String),
    #[error("two channels have the name {0:?}")]
    Twice(String),
    #[error("{key} leads to {name:?}, and the channels are: {known}")]
    Nowhere {
        key: String,
        name: String,
        known: String,
    },
    #[error("notify.environment names neither namespaces nor clusters")]
    FitsNothing,
    #[error("notify.templates: {0:?} is neither an OCCASION nor a CHANNEL/OCCASION")]
    NoPurpose(String),
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 40 && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    const CHANNELS: &str = "[slack]\nwebhook = { env = \"A\" }\n\
        [[webhook]]\nurl = { env = \"A\" }\nsecret = { env = \"A\" }\n\
        [[webhook]]\nname = \"audit\"\nurl = { env = \"A\" }\nsecret = { env = \"A\" }\n\
        [[webhook]]\nurl = { env = \"A\" }\nsecret = { env = \"A\" }\n";

    #[test]
    fn channels_have_names_of_their_own() {
        let names = settings(CHANNELS).names().expect("good names");
        assert_eq!(names, ["slack", "webhook", "audit", "webhook-3"]);
        let twice = CHANNELS.replace("audit", "slack");
        let error = settings(&twice).names().expect_err("twice");
        assert_eq!(error, NameError::Twice("slack".into()));
        let bad = CHANNELS.replace("audit", "../x");
        let error = settings(&bad).names().expect_err("bad");
        assert_eq!(error, NameError::NotAName("../x".into()));
    }

    #[test]
    fn what_leads_nowhere_is_refused_by_name() {
        for (more, part) in [
            ("[routes]\ncritical = [\"pager\"]\n", "\"pager\""),
            ("[templates]\nparty = \"x\"\n", "\"party\""),
            ("[templates]\n\"pager/test\" = \"x\"\n", "\"pager/test\""),
        ] {
            let error = settings(&format!("{CHANNELS}{more}")).names();
            let error = error.expect_err(more).to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = settings(&format!("require = \"pager\"\n{CHANNELS}")).names();
        assert!(error.is_err());
        assert!(toml::from_str::<Settings>("[routes]\nparty = []\n").is_err());
    }

    #[test]
    fn an_occasion_without_a_route_goes_everywhere() {
        let routes = format!("{CHANNELS}[routes]\ntest = [\"slack\"]\nmonthly = []\n");
        let settings = settings(&routes);
        assert!(settings.routed(Occasion::Test, "slack"));
        assert!(!settings.routed(Occasion::Test, "audit"));
        assert!(!settings.routed(Occasion::Monthly, "slack"));
        assert!(settings.routed(Occasion::Critical, "audit"));
    }
}
