//! What every occasion is made of.

use chaos_common::config::{Config, Contact};
use chaos_common::record::{Occasion, Time};

use crate::facts::Facts;
use crate::settings::Environment;
use crate::template::{
    About, Clock, Draft, NOT_KNOWN, Severity, Values, contact_lines, contacts, line,
};

/// The stream, the configuration, and the clock.
pub(crate) struct Scene<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) config: &'a Config,
    pub(crate) environments: &'a [Environment],
    pub(crate) clock: &'a Clock,
    pub(crate) now: Time,
}

impl Scene<'_> {
    /// When that happened of which the stream tells; now where it tells of nothing.
    pub(super) fn time(&self) -> Time {
        self.facts.time().unwrap_or(self.now)
    }

    /// A draft with all that is the same for every occasion.
    pub(super) fn draft(&self, occasion: Occasion, severity: Severity, time: Time) -> Draft {
        let about = self.about();
        let people = self.people(&about);
        let mut values = Values {
            application: about.application.clone(),
            namespace: about.namespace.clone(),
            cluster: about.cluster.clone(),
            experiment: about.experiment.clone(),
            run: line(&self.facts.run),
            time: self.clock.write(time),
            contacts: contact_lines(people),
            stop: self.stop(),
            ..Values::default()
        };
        let plan = self.facts.plan.as_ref();
        if let Some(digest) = plan.and_then(|plan| plan.data.digest.as_ref()) {
            values.digest = format!("sha256:{}", line(digest));
        }
        Draft {
            occasion,
            severity,
            time,
            about,
            values,
            page: None,
            alerts: None,
            link: None,
            attachment: None,
            contacts: contacts(people),
            gaps: Vec::new(),
        }
    }

    /// The people to call: those of the environment that it is about, if it has its own.
    fn people(&self, about: &About) -> &[Contact] {
        let environment = self.environments.iter().find(|one| one.fits(about));
        let own = environment.map(|environment| &environment.contacts[..]);
        own.filter(|own| !own.is_empty())
            .unwrap_or(&self.config.contacts)
    }

    fn about(&self) -> About {
        let known = |text: Option<String>| text.unwrap_or_else(|| NOT_KNOWN.to_owned());
        let configured = self.config.application.namespace.clone();
        About {
            application: line(&self.config.application.name),
            namespace: known(self.facts.namespace().or(configured)),
            cluster: known(self.facts.cluster()),
            experiment: known(self.facts.name()),
        }
    }

    /// The command that stops every run.
    fn stop(&self) -> String {
        "chaos-inject abort --reason \"WHY\"".to_owned() + &self.on_namespace()
    }

    /// The commands that bring the system back: what is held, the undo of what killed runs left,
    /// and the plan's own commands, which need no tool but kubectl.
    pub(super) fn recover(&self) -> Vec<String> {
        let mut commands = vec![format!("chaos-inject recover{}", self.on_namespace())];
        let planned = self.facts.plan.iter();
        commands.extend(planned.flat_map(|plan| plan.data.undo_commands.iter().map(|c| line(c))));
        commands
    }

    fn on_namespace(&self) -> String {
        let plain = |name: &String| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !name.is_empty() && name.chars().all(is_plain)
        };
        let namespace = self.facts.namespace().filter(plain);
        namespace.map_or_else(String::new, |name| format!(" --namespace {name}"))
    }
}
