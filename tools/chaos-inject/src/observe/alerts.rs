//! The alerts of an experiment: which fired and when, which were expected and stayed silent, which
//! came unexpected. Prometheus is asked twice a second through the whole run; the moment in which
//! an alert is first seen is true to one interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaos_common::cluster::probe::HttpProbe;
use chaos_common::config::{AlertSelector, Monitoring};
use chaos_common::prometheus::{
    ALERTS_PATH, Alert, AlertScope, Alertmanager, Labels, Prometheus, RoutedAlert, counts, may_be,
};
use chaos_common::record::{AlertSeen, Check, Status};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

const INTERVAL: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(3);

/// When each alert was seen to begin, by its labels.
type Starts = BTreeMap<Labels, Vec<Instant>>;

/// The alerts that are looked at: what is expected, and whatever else is the application's.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    expected: Vec<AlertSelector>,
    scope: AlertScope,
}

impl Wanted {
    /// By a plan's alerts. What is no selector picks nothing, and so stays silent.
    pub fn new(expected: &[String], scope: AlertScope) -> Wanted {
        Wanted {
            expected: expected
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect(),
            scope,
        }
    }

    fn holds(&self, alert: &Alert) -> bool {
        let expected = self.expected.iter().any(|one| one.picks(&alert.labels));
        let ours = counts(alert) && self.scope.holds(&alert.labels);
        alert.is_firing() && (expected || ours)
    }
}

/// What was seen of the alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertObservations {
    firing: Starts,
    delivered: Starts,
    /// Looks at Prometheus that gave nothing: when, and why.
    blind: Vec<(Instant, String)>,
    /// The same of Alertmanager.
    unheard: Option<String>,
}

/// The running observation.
#[derive(Debug)]
pub struct Observer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<AlertObservations>,
    latest: watch::Receiver<AlertObservations>,
}

impl Observer {
    /// Starts to ask; nothing if no Prometheus is configured.
    pub fn start(
        asker: &HttpProbe,
        monitoring: Option<&Monitoring>,
        wanted: Wanted,
    ) -> Option<Observer> {
        let monitoring = monitoring?;
        let prometheus = Prometheus::of(asker, monitoring, LIMIT)?;
        let alertmanager = Alertmanager::of(asker, monitoring, LIMIT);
        let (stop, stopped) = oneshot::channel();
        let (sender, latest) = watch::channel(AlertObservations::default());
        let servers = (prometheus, alertmanager);
        let task = tokio::spawn(observe(servers, wanted, sender, stopped));
        Some(Observer { stop, task, latest })
    }

    /// Waits until all of these have begun to fire since a moment.
    pub async fn fired(&mut self, expected: &[String], since: Instant) {
        let all = |seen: &AlertObservations| {
            expected
                .iter()
                .all(|text| seen.first(text, since).is_some())
        };
        if self.latest.wait_for(all).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Asks no more, and gives what was seen.
    ///
    /// # Panics
    /// If the observation itself panicked.
    pub async fn stop(self) -> AlertObservations {
        // The observation may have ended by itself, then nobody listens.
        let _ = self.stop.send(());
        self.task.await.expect("asking does not panic")
    }
}

async fn observe(
    (prometheus, alertmanager): (Prometheus, Option<Alertmanager>),
    wanted: Wanted,
    latest: watch::Sender<AlertObservations>,
    mut stopped: oneshot::Receiver<()>,
) -> AlertObservations {
    let mut seen = AlertObservations::default();
    let (mut firing, mut delivered) = (BTreeSet::new(), BTreeSet::new());
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return seen,
            _ = ticks.tick() => {}
        }
        match prometheus.alerts().await {
            Ok(alerts) => begin(&mut seen.firing, &mut firing, firing_now(&alerts, &wanted)),
            Err(error) => {
                let why = format!("{}: {error}", prometheus.url(ALERTS_PATH));
                seen.blind.push((Instant::now(), why));
            }
        }
        if let Some(alertmanager) = &alertmanager {
            match alertmanager.alerts().await {
                Ok(alerts) => {
                    let now = delivered_now(alerts, &seen.firing);
                    begin(&mut seen.delivered, &mut delivered, now);
                }
                Err(error) => seen.unheard = Some(format!("{}: {error}", alertmanager.url())),
            }
        }
        latest.send_replace(seen.clone());
    }
}

fn begin(starts: &mut Starts, before: &mut BTreeSet<Labels>, now: BTreeSet<Labels>) {
    let at = Instant::now();
    for labels in now.difference(before) {
        starts.entry(labels.clone()).or_default().push(at);
    }
    *before = now;
}

/// The alerts that fire and are looked at.
fn firing_now(alerts: &[Alert], wanted: &Wanted) -> BTreeSet<Labels> {
    let firing = alerts.iter().filter(|alert| wanted.holds(alert));
    firing.map(|alert| alert.labels.clone()).collect()
}

/// Of the alerts that Alertmanager has, those that may be one that was seen to fire.
fn delivered_now(alerts: Vec<RoutedAlert>, fired: &Starts) -> BTreeSet<Labels> {
    let labels = alerts.into_iter().map(|alert| alert.labels);
    labels
        .filter(|routed| fired.keys().any(|alert| may_be(routed, alert)))
        .collect()
}

/// The first moment at which one of these began since another.
fn first_of<'a>(starts: impl Iterator<Item = &'a Vec<Instant>>, since: Instant) -> Option<Instant> {
    let since = |starts: &'a Vec<Instant>| starts.iter().copied().find(|at| *at >= since);
    starts.filter_map(since).min()
}

impl AlertObservations {
    /// The alerts that a selector picks and that were seen to fire.
    fn picked(&self, text: &str) -> Vec<&Labels> {
        let Ok(selector) = text.parse::<AlertSelector>() else {
            return Vec::new();
        };
        self.firing
            .keys()
            .filter(|labels| selector.picks(labels))
            .collect()
    }

    fn first(&self, text: &str, since: Instant) -> Option<Instant> {
        let picked = self.picked(text);
        first_of(
            picked.iter().filter_map(|labels| self.firing.get(*labels)),
            since,
        )
    }

    /// For the record: every expected alert, and every other that fired, by name.
    pub fn alerts(&self, expected: &[String], injected: Instant) -> Vec<AlertSeen> {
        let picked: Vec<Vec<&Labels>> = expected.iter().map(|text| self.picked(text)).collect();
        let mut others: BTreeMap<&str, Vec<&Labels>> = BTreeMap::new();
        for labels in self.firing.keys() {
            if !picked.iter().flatten().any(|one| *one == labels) {
                let name = labels.get("alertname").map_or("", String::as_str);
                others.entry(name).or_default().push(labels);
            }
        }
        let expected = expected.iter().map(String::as_str).zip(&picked);
        let expected = expected.map(|(name, labels)| self.seen((name, true), labels, injected));
        let others = others.iter();
        let others = others.map(|(name, labels)| self.seen((name, false), labels, injected));
        let mut seen: Vec<AlertSeen> = expected.chain(others).collect();
        seen.sort_by(|one, other| one.name.cmp(&other.name));
        seen
    }

    fn seen(
        &self,
        (name, expected): (&str, bool),
        picked: &[&Labels],
        injected: Instant,
    ) -> AlertSeen {
        let ms = |at: Instant| at.duration_since(injected).as_secs_f64() * 1000.0;
        let starts = || picked.iter().filter_map(|labels| self.firing.get(*labels));
        let delivered = self
            .delivered
            .iter()
            .filter(|(routed, _)| picked.iter().any(|labels| may_be(routed, labels)));
        AlertSeen {
            name: name.to_owned(),
            expected,
            before: starts().flatten().any(|at| *at < injected),
            fired_ms: first_of(starts(), injected).map(ms),
            delivered_ms: first_of(delivered.map(|(_, starts)| starts), injected).map(ms),
        }
    }

    /// What kept Prometheus from being seen since a moment.
    pub fn blind_since(&self, since: Instant) -> Option<&str> {
        self.blind
            .iter()
            .find(|(at, _)| *at >= since)
            .map(|(_, why)| why.as_str())
    }

    /// What kept Alertmanager from being heard.
    pub fn unheard(&self) -> Option<&str> {
        self.unheard.as_deref()
    }
}

/// `ID` for each alert: an expected one that fired passes, one that stayed silent fails, one that
/// nobody expected is a warning. `blind` is why Prometheus could not be seen for some time: then
/// silence says nothing, which is a warning where no alert is expected.
pub fn judge(
    id: &str,
    alerts: &[AlertSeen],
    blind: Option<&str>,
    unheard: Option<&str>,
) -> Vec<Check> {
    let mut checks = Vec::new();
    for alert in alerts {
        let object = format!("alert/{}", alert.name);
        let delivered = match (alert.delivered_ms, unheard) {
            (Some(ms), _) => format!(", and Alertmanager had it after {:.1} s", ms / 1000.0),
            (None, None) => ", and Alertmanager was not seen to get it".to_owned(),
            (None, Some(why)) => format!("; Alertmanager: {why}"),
        };
        checks.push(match (alert.expected, alert.fired_ms) {
            (true, Some(ms)) => {
                let message = format!("fired {:.1} s after the injection{delivered}", ms / 1000.0);
                match (alert.delivered_ms, unheard) {
                    (None, Some(_)) => Check::unknown(id, object, message),
                    (None, None) => Check::fail(id, object, message),
                    _ => Check::pass(id, object, message),
                }
            }
            (true, None) if alert.before => {
                Check::unknown(id, object, "was firing before the injection already, so it says nothing about it")
            }
            (true, None) => match blind {
                Some(why) => Check::unknown(id, object, format!("was not seen to fire, but {why}")),
                None => Check::fail(id, object, "was expected and stayed silent")
                    .hint("look at the rule's expression and its `for`, and at experiment.alert_wait in chaos.toml"),
            },
            (false, Some(ms)) => {
                let message = format!("nobody expected it, and it fired {:.1} s after the injection", ms / 1000.0);
                let mut check = Check::pass(id, object, message);
                check.status = Status::Warn;
                check
            }
            (false, None) => continue,
        });
    }
    if alerts.iter().all(|alert| !alert.expected) {
        checks.push(match blind {
            // One that fired unexpectedly would be a warning, so having missed it is no more.
            Some(why) => Check::new(
                id,
                "",
                Status::Warn,
                format!("no alert is expected, and one that fired may have been missed: {why}"),
            ),
            None => Check::skipped(
                id,
                "",
                "no alert is expected: none is configured for this experiment",
            ),
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(expected: bool, before: bool, fired: bool) -> AlertSeen {
        let ms = fired.then_some(1500.0);
        AlertSeen {
            name: "A".into(),
            expected,
            before,
            fired_ms: ms,
            delivered_ms: ms,
        }
    }

    fn status(alert: AlertSeen, blind: Option<&str>) -> Vec<Status> {
        judge("x.alerts", &[alert], blind, None)
            .iter()
            .map(|check| check.status)
            .collect()
    }

    #[test]
    fn silence_is_a_failure_only_if_it_could_have_been_heard() {
        assert_eq!(status(alert(true, false, true), None), [Status::Pass]);
        assert_eq!(status(alert(true, false, false), None), [Status::Fail]);
        assert_eq!(
            status(alert(true, false, false), Some("no answer")),
            [Status::Unknown]
        );
        assert_eq!(status(alert(true, true, false), None), [Status::Unknown]);
        assert_eq!(
            status(alert(false, false, true), None),
            [Status::Warn, Status::Skipped]
        );
        assert_eq!(
            status(alert(false, true, false), Some("no answer")),
            [Status::Warn]
        );
    }

    #[test]
    fn an_alert_that_alertmanager_never_got_does_not_pass() {
        let lost = AlertSeen {
            delivered_ms: None,
            ..alert(true, false, true)
        };
        assert_eq!(
            judge("x", std::slice::from_ref(&lost), None, None)[0].status,
            Status::Fail
        );
        assert_eq!(
            judge("x", &[lost], None, Some("refused"))[0].status,
            Status::Unknown
        );
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn an_alert_that_fired_before_counts_only_if_it_fires_again() {
        let injected = Instant::now() + Duration::from_secs(10);
        let (before, after) = (
            injected - Duration::from_secs(5),
            injected + Duration::from_secs(2),
        );
        let mut seen = AlertObservations::default();
        seen.firing
            .insert(labels(&[("alertname", "Old")]), vec![before]);
        seen.firing
            .insert(labels(&[("alertname", "Again")]), vec![before, after]);
        let alerts = seen.alerts(&["Silent".to_owned()], injected);
        let of = |name: &str| {
            alerts
                .iter()
                .find(|alert| alert.name == name)
                .expect("listed")
        };
        assert_eq!((of("Old").before, of("Old").fired_ms), (true, None));
        assert_eq!(of("Again").fired_ms, Some(2000.0));
        assert_eq!((of("Silent").expected, of("Silent").fired_ms), (true, None));
    }

    #[test]
    fn expected_alerts_are_told_by_labels_too() {
        let injected = Instant::now();
        let after = injected + Duration::from_secs(2);
        let (ours, theirs) = (
            labels(&[
                ("alertname", "Down"),
                ("job", "api"),
                ("severity", "critical"),
            ]),
            labels(&[
                ("alertname", "Down"),
                ("job", "db"),
                ("severity", "critical"),
            ]),
        );
        let mut seen = AlertObservations::default();
        seen.firing.insert(theirs.clone(), vec![after]);
        let expected = ["Down{job=\"api\"}".to_owned()];
        let of = |seen: &AlertObservations| {
            let alerts = seen.alerts(&expected, injected).into_iter();
            alerts
                .map(|one| (one.name, one.expected, one.fired_ms, one.delivered_ms))
                .collect::<Vec<_>>()
        };
        let other = ("Down".to_owned(), false, Some(2000.0), None);
        let silent = (expected[0].clone(), true, None, None);
        assert_eq!(of(&seen), [other.clone(), silent], "it is another's");
        seen.firing.insert(ours.clone(), vec![after]);
        // On the way its severity was mapped, and a label was added.
        let mut routed = ours;
        routed.insert("severity".to_owned(), "page".to_owned());
        routed.insert("cluster".to_owned(), "c".to_owned());
        seen.delivered.insert(routed, vec![after]);
        let fired = (expected[0].clone(), true, Some(2000.0), Some(2000.0));
        assert_eq!(of(&seen), [other, fired]);
    }

    #[test]
    fn what_fires_by_design_or_is_anothers_is_not_looked_at() {
        let wanted = Wanted::new(
            &["Far{namespace=\"other\"}".to_owned()],
            AlertScope::default().and(["shop"]),
        );
        let holds = |name: &str, namespace: &str, state: &str| {
            let alert = serde_json::json!({ "state": state, "labels": {
                "alertname": name, "namespace": namespace, "severity": "critical" } });
            let alerts = [serde_json::from_value(alert).expect("an alert")];
            !firing_now(&alerts, &wanted).is_empty()
        };
        assert!(holds("Down", "shop", "firing"));
        assert!(!holds("Down", "shop", "pending"));
        assert!(!holds("Down", "other", "firing"));
        assert!(holds("Far", "other", "firing"), "it is expected");
        assert!(!holds("Watchdog", "shop", "firing"));
    }

    #[test]
    fn alertmanager_may_have_others_besides() {
        let routed = r#"[{"labels":{"alertname":"A","cluster":"c"}},{"labels":{"alertname":"B"}}]"#;
        let routed: Vec<RoutedAlert> = serde_json::from_str(routed).expect("alerts");
        let fired = Starts::from([(labels(&[("alertname", "A")]), Vec::new())]);
        let delivered = delivered_now(routed, &fired);
        let expected = labels(&[("alertname", "A"), ("cluster", "c")]);
        assert_eq!(delivered, [expected].into());
    }
}
