//! What an experiment leaves behind for a while: alerts that fire, scrape targets that are down,
//! roll-outs that are under way. As long as there is any of it, the system has not recovered.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_common::config::AlertSelector;
use chaos_common::prometheus::{Alert, AlertScope, Labels, Prometheus, Series, counts};
use chaos_common::record::{AlertSeen, Check, Experiment, Health, Record, Status, Time};
use chaos_health::checks;
use jiff::SignedDuration;

use super::names::some;
use super::was_so;
use crate::pipeline_input::PipelineInput;
use crate::target::Target;

/// Time that an answer of Prometheus may take.
const LIMIT: Duration = Duration::from_secs(5);
/// By how much the clocks of Prometheus and of the tools' machine may differ.
const CLOCKS: SignedDuration = SignedDuration::from_secs(5);

/// The ids of what must be over before a system has recovered.
pub(crate) const IDS: [&str; 3] = ["recovery.alerts", "recovery.targets", "recovery.rollouts"];

/// What was seen of one kind in one look.
#[derive(Clone, Debug, PartialEq)]
enum Sight {
    /// What is not over.
    Open(Vec<String>),
    /// It could not be seen.
    Unseen(String),
    /// Nobody is asked for it.
    NotAsked(&'static str),
}

/// What there is of each kind now.
#[derive(Clone, Debug)]
pub(super) struct Sights([Sight; 3]);

/// What was so before the experiment, and what is known of it.
#[derive(Clone, Debug)]
struct Known<'a> {
    health: Option<&'a Health>,
    experiments: &'a [Record<Experiment>],
    /// What is the application's.
    scope: AlertScope,
    /// When it was before.
    before: Time,
}

/// Looks for what the experiment may have left. `health` is of this look.
pub(super) async fn look(target: &Target<'_>, input: &PipelineInput, health: &Health) -> Sights {
    let rollouts = rollouts(&health.checks, input.health());
    let not_asked = |why| Sights([Sight::NotAsked(why), Sight::NotAsked(why), rollouts.clone()]);
    let Some(monitoring) = &target.config.monitoring else {
        return not_asked("no monitoring is configured");
    };
    let Some(prometheus) = Prometheus::of(target.probe, monitoring, LIMIT) else {
        return not_asked("Prometheus is not configured");
    };
    let Some(before) = input.start().or_else(|| input.health_time()) else {
        return not_asked("no record tells since when they count");
    };
    let known = Known {
        health: input.health(),
        experiments: &input.experiments,
        scope: scope(target, &input.experiments),
        before,
    };
    let (alerts, targets) = futures::join!(prometheus.alerts(), prometheus.query("up"));
    let unseen =
        |error: chaos_common::prometheus::ApiError| Sight::Unseen(format!("Prometheus {error}"));
    Sights([
        alerts.map_or_else(unseen, |alerts| Sight::Open(known.alerts(&alerts))),
        targets.map_or_else(unseen, |targets| Sight::Open(known.targets(&targets))),
        rollouts,
    ])
}

/// What is the application's, and what the experiments hit besides.
fn scope(target: &Target<'_>, experiments: &[Record<Experiment>]) -> AlertScope {
    let hit = experiments.iter().flat_map(|one| &one.data.targets);
    let hit = hit.map(|target| target.namespace.as_str());
    AlertScope::of(target.config, target.namespace).and(hit)
}

/// Whether an alert that fires is one that an experiment saw, which may be named by its labels.
fn is(seen: &AlertSeen, labels: &Labels) -> bool {
    let selector = seen.name.parse::<AlertSelector>();
    selector.is_ok_and(|selector| selector.picks(labels))
}

impl Known<'_> {
    /// Alerts that fire since the experiment began.
    fn alerts(&self, found: &[Alert]) -> Vec<String> {
        let seen = || self.experiments.iter().flat_map(|one| &one.data.alerts);
        let caused = |alert: &&Alert| {
            let labels = &alert.labels;
            let raised = seen().any(|seen| is(seen, labels) && !seen.before);
            let old = seen().any(|seen| is(seen, labels) && seen.before)
                || alert
                    .active_at
                    .is_some_and(|since| since.0.duration_since(self.before.0) < -CLOCKS);
            counts(alert) && !old && (raised || self.scope.holds(labels))
        };
        let names = found.iter().filter(caused);
        let names: BTreeSet<_> = names.map(|alert| alert.label("alertname")).collect();
        names
            .into_iter()
            .map(|name| format!("{name} fires"))
            .collect()
    }

    /// Targets that are down and were not before.
    fn targets(&self, found: &[Series]) -> Vec<String> {
        let was_down = |object: &str| {
            self.health.is_some_and(|health| {
                health.checks.iter().any(|check| {
                    check.id == checks::MONITORING_TARGETS.id
                        && check.object.as_deref() == Some(object)
                })
            })
        };
        let of = |target: &Series| {
            let label = |name: &str| target.labels.get(name).map_or("", String::as_str);
            let object = format!("target/{}/{}", label("job"), label("instance"));
            let down = target.samples.iter().any(|(_, value)| value == "0");
            (down && self.scope.is_near(&target.labels) && !was_down(&object))
                .then(|| format!("{object} is down"))
        };
        found.iter().filter_map(of).collect()
    }
}

/// Workloads that are not at their desired state and were before.
fn rollouts(now: &[Check], before: Option<&Health>) -> Sight {
    let of = |id: &'static str| now.iter().filter(move |check| check.id == id);
    let places = of(checks::CLUSTER_REACHABLE.id).chain(of(checks::NAMESPACE_EXISTS.id));
    let unseen = places.filter(|check| check.is_bad());
    let unread = of(checks::WORKLOAD_READY.id).filter(|check| check.status == Status::Unknown);
    if let Some(check) = unseen.chain(unread).next() {
        return Sight::Unseen(check.message.clone());
    }
    if of(checks::WORKLOAD_READY.id).all(|check| check.status == Status::Skipped) {
        return Sight::NotAsked("no workload was looked at");
    }
    let open = of(checks::WORKLOAD_READY.id)
        .filter(|check| check.status == Status::Fail && !was_so(before, check))
        .map(|check| {
            let object = check.object.as_deref().unwrap_or_default();
            format!("{object} {}", check.message)
        });
    Sight::Open(open.collect())
}

/// How one kind went.
#[derive(Clone, Debug, Default)]
struct Course {
    /// All that was not over at any look.
    seen: BTreeSet<String>,
    last: Option<Sight>,
    /// When it was over, in milliseconds from the end of the fault.
    over_ms: Option<i64>,
}

/// How all that an experiment left went, look by look.
#[derive(Clone, Debug)]
pub(super) struct Aftermath {
    courses: [Course; 3],
    /// The end of the fault; that of the first look where no experiment is known.
    end: Time,
    /// Alerts that the experiment is known to have raised.
    raised: Vec<String>,
}

impl Aftermath {
    /// What is to be seen after these experiments; `now` is before the first look.
    pub(super) fn of(experiments: &[Record<Experiment>], now: Time) -> Aftermath {
        let end = |one: &Record<Experiment>| one.data.restored.unwrap_or(one.data.ended);
        let alerts = experiments.iter().flat_map(|one| &one.data.alerts);
        let raised = alerts.filter(|alert| !alert.before && alert.fired_ms.is_some());
        Aftermath {
            courses: Default::default(),
            end: experiments.iter().map(end).max().unwrap_or(now),
            raised: raised.map(|alert| alert.name.clone()).collect(),
        }
    }

    /// Takes in a look.
    pub(super) fn note(&mut self, Sights(sights): Sights, now: Time) {
        for (course, sight) in self.courses.iter_mut().zip(sights) {
            if let Sight::Open(open) = &sight {
                course.seen.extend(open.iter().cloned());
                let over = course.over_ms.or(Some(now.since_ms(self.end)));
                course.over_ms = over.filter(|_| open.is_empty());
            }
            course.last = Some(sight);
        }
    }

    /// Whether there is nothing left of it, as far as can be seen.
    pub(super) fn is_over(&self) -> bool {
        self.courses
            .iter()
            .all(|course| !matches!(&course.last, Some(Sight::Open(open)) if !open.is_empty()))
    }

    /// One check for each kind; `now` is the time of the last look.
    pub(super) fn checks(&self, now: Time) -> Vec<Check> {
        let nothing = [
            self.nothing_fires(),
            "no target is down that was not before".to_owned(),
            "no roll-out is under way that was not before".to_owned(),
        ];
        let kinds = IDS.into_iter().zip(&self.courses).zip(nothing);
        kinds
            .map(|((id, course), nothing)| self.check(id, course, nothing, now))
            .collect()
    }

    fn check(&self, id: &str, course: &Course, nothing: String, now: Time) -> Check {
        match &course.last {
            None => Check::unknown(id, "", "it was not looked at"),
            Some(Sight::NotAsked(why)) => Check::skipped(id, "", *why),
            Some(Sight::Unseen(why)) => Check::unknown(id, "", why.clone()),
            Some(Sight::Open(open)) if !open.is_empty() => {
                let late = seconds(now.since_ms(self.end));
                let message = format!("{}, {late} after the end of the fault", some(open));
                Check::fail(id, "", message).hint("give it more time with --wait 5m")
            }
            Some(Sight::Open(_)) if course.seen.is_empty() => Check::pass(id, "", nothing),
            Some(Sight::Open(_)) => {
                let seen: Vec<_> = course.seen.iter().cloned().collect();
                let took = course.over_ms.map(seconds).unwrap_or_default();
                let message = format!(
                    "over {took} after the end of the fault, give or take the second between \
                     looks: {}",
                    some(&seen)
                );
                Check::pass(id, "", message)
            }
        }
    }

    fn nothing_fires(&self) -> String {
        match (self.raised.is_empty(), self.courses[0].over_ms) {
            (false, Some(over)) => format!(
                "{} was resolved {} after the end of the fault or sooner",
                some(&self.raised),
                seconds(over)
            ),
            _ => "no alert fires that did not before".to_owned(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one day")]
fn seconds(ms: i64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests;
