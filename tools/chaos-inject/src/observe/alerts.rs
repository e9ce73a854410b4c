//! The alerts of an experiment: which fired and when, which were expected and stayed silent, which
//! came unexpected. Prometheus is asked twice a second through the whole run; the moment in which
//! an alert is first seen is true to one interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chaos_common::cluster::probe::HttpProbe;
use chaos_common::config::Monitoring;
use chaos_common::prometheus::{ALERTS_PATH, Alert, Alertmanager, Labels, Prometheus, RoutedAlert};
use chaos_common::record::{AlertSeen, Check, Status};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

const INTERVAL: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(3);

/// When each alert was seen to begin.
type Starts = BTreeMap<String, Vec<Instant>>;

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
    pub fn start(asker: &HttpProbe, monitoring: Option<&Monitoring>) -> Option<Observer> {
        let monitoring = monitoring?;
        let prometheus = Prometheus::of(asker, monitoring, LIMIT)?;
        let alertmanager = Alertmanager::of(asker, monitoring, LIMIT);
        let (stop, stopped) = oneshot::channel();
        let (sender, latest) = watch::channel(AlertObservations::default());
        let task = tokio::spawn(observe(prometheus, alertmanager, sender, stopped));
        Some(Observer { stop, task, latest })
    }

    /// Waits until all of these have begun to fire since a moment.
    pub async fn fired(&mut self, names: &[String], since: Instant) {
        let all = |seen: &AlertObservations| {
            names
                .iter()
                .all(|name| first_after(&seen.firing, name, since).is_some())
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
    prometheus: Prometheus,
    alertmanager: Option<Alertmanager>,
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
            Ok(alerts) => begin(&mut seen.firing, &mut firing, firing_names(&alerts)),
            Err(error) => {
                let why = format!("{}: {error}", prometheus.url(ALERTS_PATH));
                seen.blind.push((Instant::now(), why));
            }
        }
        if let Some(alertmanager) = &alertmanager {
            match alertmanager.alerts().await {
                Ok(alerts) => begin(
                    &mut seen.delivered,
                    &mut delivered,
                    delivered_names(&alerts),
                ),
                Err(error) => seen.unheard = Some(format!("{}: {error}", alertmanager.url())),
            }
        }
        latest.send_replace(seen.clone());
    }
}

fn begin(starts: &mut Starts, before: &mut BTreeSet<String>, now: BTreeSet<String>) {
    let at = Instant::now();
    for name in now.difference(before) {
        starts.entry(name.clone()).or_default().push(at);
    }
    *before = now;
}

/// Names of the alerts that fire.
fn firing_names(alerts: &[Alert]) -> BTreeSet<String> {
    let firing = alerts.iter().filter(|alert| alert.is_firing());
    firing.filter_map(|alert| name_in(&alert.labels)).collect()
}

/// Names of the alerts that Alertmanager has.
fn delivered_names(alerts: &[RoutedAlert]) -> BTreeSet<String> {
    let names = alerts.iter().filter_map(|alert| name_in(&alert.labels));
    names.collect()
}

fn name_in(labels: &Labels) -> Option<String> {
    labels.get("alertname").cloned()
}

fn first_after(starts: &Starts, name: &str, since: Instant) -> Option<Instant> {
    starts.get(name)?.iter().copied().find(|at| *at >= since)
}

impl AlertObservations {
    /// For the record: every alert that fired, and every expected one.
    pub fn alerts(&self, expected: &[String], injected: Instant) -> Vec<AlertSeen> {
        let names: BTreeSet<&String> = self.firing.keys().chain(expected).collect();
        let ms = |at: Instant| at.duration_since(injected).as_secs_f64() * 1000.0;
        let one = |name: &String| AlertSeen {
            name: name.clone(),
            expected: expected.contains(name),
            before: self
                .firing
                .get(name)
                .is_some_and(|starts| starts.iter().any(|at| *at < injected)),
            fired_ms: first_after(&self.firing, name, injected).map(ms),
            delivered_ms: first_after(&self.delivered, name, injected).map(ms),
        };
        names.into_iter().map(one).collect()
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

    #[test]
    fn an_alert_that_fired_before_counts_only_if_it_fires_again() {
        let injected = Instant::now() + Duration::from_secs(10);
        let (before, after) = (
            injected - Duration::from_secs(5),
            injected + Duration::from_secs(2),
        );
        let mut seen = AlertObservations::default();
        seen.firing.insert("Old".into(), vec![before]);
        seen.firing.insert("Again".into(), vec![before, after]);
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
    fn only_firing_alerts_count() {
        let alerts = r#"[{"labels":{"alertname":"A"},"state":"firing"},
            {"labels":{"alertname":"B"},"state":"pending"}]"#;
        let alerts: Vec<Alert> = serde_json::from_str(alerts).expect("alerts");
        assert_eq!(firing_names(&alerts), ["A".to_owned()].into());
        let routed = r#"[{"labels":{"alertname":"A"}}]"#;
        let routed: Vec<RoutedAlert> = serde_json::from_str(routed).expect("alerts");
        assert_eq!(delivered_names(&routed), ["A".to_owned()].into());
    }
}
