//! Which alerts and targets are the application's: the one definition for whoever looks at them.

use std::collections::BTreeSet;

use super::{Alert, Labels};
use crate::config::{Config, Matcher};

/// Alerts that fire by design, whatever their severity: to show that alerts arrive, or to keep
/// others from being sent.
const BY_DESIGN: [&str; 4] = [
    "Watchdog",
    "DeadMansSwitch",
    "DeadMansSnitch",
    "InfoInhibitor",
];

/// Whether an alert that fires means trouble at all.
pub fn counts(alert: &Alert) -> bool {
    let note = matches!(alert.label("severity"), "none" | "info");
    alert.is_firing() && !note && !BY_DESIGN.contains(&alert.label("alertname"))
}

/// The namespace that a series or an alert is about. Where Prometheus keeps a label of its own, that
/// of the object has another name.
pub fn namespace_of(labels: &Labels) -> Option<&str> {
    let names = ["exported_namespace", "namespace", "kubernetes_namespace"];
    let found = names.iter().find_map(|name| labels.get(*name))?;
    (!found.is_empty()).then_some(found.as_str())
}

/// What is the application's: by matchers where `monitoring.alerts` has some, else all that is of
/// its namespaces, or of none.
#[derive(Clone, Debug, Default)]
pub struct AlertScope {
    matchers: Option<Vec<Matcher>>,
    namespaces: BTreeSet<String>,
}

impl AlertScope {
    /// That of an application in a namespace; the namespaces of its configured Services are its,
    /// too.
    pub fn of(config: &Config, namespace: &str) -> AlertScope {
        let monitoring = config.monitoring.as_ref();
        let services = config.services.iter();
        let others = services.filter_map(|service| service.namespace.clone());
        AlertScope {
            matchers: monitoring.and_then(|monitoring| monitoring.alerts.clone()),
            namespaces: others.chain([namespace.to_owned()]).collect(),
        }
    }

    /// The same with further namespaces.
    #[must_use]
    pub fn and<'a>(mut self, namespaces: impl IntoIterator<Item = &'a str>) -> AlertScope {
        let more = namespaces.into_iter().map(str::to_owned);
        self.namespaces.extend(more);
        self
    }

    /// Whether an alert is the application's.
    pub fn holds(&self, alert: &Labels) -> bool {
        match &self.matchers {
            Some(matchers) => matchers.iter().all(|matcher| matcher.matches(alert)),
            None => self.is_near(alert),
        }
    }

    /// Whether a target is of its namespaces, or of none.
    pub fn is_near(&self, target: &Labels) -> bool {
        namespace_of(target).is_none_or(|namespace| self.namespaces.contains(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn alert(name: &str, severity: &str) -> Alert {
        let labels = serde_json::json!({ "alertname": name, "severity": severity });
        serde_json::from_value(serde_json::json!({ "labels": labels, "state": "firing" }))
            .expect("an alert")
    }

    #[test]
    fn what_fires_by_design_and_notes_do_not_count() {
        assert!(counts(&alert("Down", "critical")));
        assert!(counts(&alert("Down", "")));
        assert!(!counts(&alert("Down", "info")));
        for name in ["Watchdog", "InfoInhibitor", "DeadMansSwitch"] {
            assert!(!counts(&alert(name, "critical")), "{name}");
        }
        let mut pending = alert("Down", "critical");
        pending.state = super::super::AlertState::Pending;
        assert!(!counts(&pending));
    }

    #[test]
    fn by_default_the_namespace_decides() {
        let scope = AlertScope::of(&Config::default(), "shop").and(["cache"]);
        assert!(scope.holds(&labels(&[("namespace", "shop")])));
        assert!(scope.holds(&labels(&[("namespace", "cache")])));
        assert!(scope.holds(&labels(&[("job", "node")])), "it is of none");
        assert!(scope.holds(&labels(&[("namespace", "")])), "it is of none");
        assert!(!scope.holds(&labels(&[("namespace", "other")])));
        let exported = [("namespace", "shop"), ("exported_namespace", "other")];
        assert!(!scope.holds(&labels(&exported)));
    }

    #[test]
    fn matchers_decide_where_there_are_any() {
        let text = "[monitoring]\nalerts = ['team=\"a\"', 'severity=~\"critical|page\"']\n";
        let config: Config = toml::from_str(text).expect("a configuration");
        let scope = AlertScope::of(&config, "shop");
        let ours = [("team", "a"), ("severity", "page"), ("namespace", "other")];
        assert!(scope.holds(&labels(&ours)));
        assert!(!scope.holds(&labels(&[("team", "a"), ("severity", "ticket")])));
        assert!(!scope.holds(&labels(&[("namespace", "shop")])));
        assert!(!scope.is_near(&labels(&ours)), "targets go by namespace");
    }
}
