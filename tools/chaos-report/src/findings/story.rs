//! What happened when: the moments that make the story of a run, in order.

use chaos_common::record::{
    AlertSeen, ChannelOutcome, EventKind, Experiment, Notification, Record,
};
use chaos_common::record::{Time, Verdict};
use jiff::SignedDuration;

use super::fault;
use super::model::Moment;
use super::run_record::RunRecord;
use super::words::{clock, count, duration, since};

/// The most moments of a story; those in the middle are left out then, and stand in the evidence.
const MOST: usize = 24;

/// The most writes of the fault, or of its undo, that are told one by one.
const WRITES: usize = 4;

/// The story.
pub(crate) fn story(run: &RunRecord) -> Vec<Moment> {
    let injected = fault::injected(run);
    let mut all: Vec<(Time, String)> = Vec::new();
    all.extend(before(run));
    all.extend(run.notifications.iter().map(told));
    all.extend(run.experiment_data().map(began));
    for kind in [EventKind::Injected, EventKind::Undo] {
        all.extend(writes(run, kind));
    }
    for kind in [EventKind::Effect, EventKind::Abort, EventKind::Restored] {
        let events = run.events_of(kind);
        all.extend(events.map(|event| (event.time, event.summary.clone())));
    }
    all.extend(measured(run, injected));
    all.extend(ended(run.experiment.as_ref(), "experiment"));
    all.extend(ended(run.verification.as_ref(), "verification"));
    all.sort_by_key(|(time, _)| *time);
    let moments = all
        .into_iter()
        .map(|(time, what)| moment(time, what, injected));
    shorten(moments.collect())
}

fn moment(time: Time, what: String, injected: Option<Time>) -> Moment {
    #[expect(clippy::cast_precision_loss, reason = "no run lasts 2^52 milliseconds")]
    let since = injected.map(|injected| since(time.since_ms(injected) as f64));
    Moment {
        time: clock(time),
        since,
        what,
    }
}

/// What was looked at before.
fn before(run: &RunRecord) -> Vec<(Time, String)> {
    let parts = [
        ended(run.health.as_ref(), "health check"),
        ended(run.backup.as_ref(), "backup check"),
        ended(run.baseline.as_ref(), "baseline"),
        ended(run.plan.as_ref(), "plan"),
    ];
    parts.into_iter().flatten().collect()
}

/// A part that passes needs no more words.
fn ended<D>(record: Option<&Record<D>>, what: &str) -> Option<(Time, String)> {
    let record = record?;
    let text = match record.verdict {
        Some(Verdict::Pass) => format!("{what}: pass"),
        Some(verdict) => format!("{what}: {verdict}: {}", record.summary),
        None => format!("{what}: {}", record.summary),
    };
    Some((record.time, text))
}

/// A message, and whether it arrived.
fn told(record: &Record<Notification>) -> (Time, String) {
    let channels = &record.data.channels;
    let sent = channels
        .iter()
        .filter(|channel| channel.outcome == ChannelOutcome::Sent);
    let text = format!(
        "message “{}”: sent on {} of {}",
        record.data.subject,
        sent.count(),
        count(channels.len(), "channel", "channels")
    );
    (record.time, text)
}

fn began(data: &Experiment) -> (Time, String) {
    let text = format!("{} begins, run by {}", data.experiment, data.executor);
    (data.started, text)
}

/// The first few writes of a sort, and how many more there were.
fn writes(run: &RunRecord, kind: EventKind) -> Vec<(Time, String)> {
    let all: Vec<_> = run.events_of(kind).collect();
    let mut told: Vec<(Time, String)> = all
        .iter()
        .take(WRITES)
        .map(|event| (event.time, event.summary.clone()))
        .collect();
    if let Some(last) = all.last().filter(|_| all.len() > WRITES) {
        let more = count(all.len() - WRITES, "write", "writes");
        told.push((last.time, format!("{more} more of this kind")));
    }
    told
}

/// What has no event of its own: the alerts, and in some streams the last pod.
fn measured(run: &RunRecord, injected: Option<Time>) -> Vec<(Time, String)> {
    let (Some(data), Some(injected)) = (run.experiment_data(), injected) else {
        return Vec::new();
    };
    let mut all: Vec<(Time, String)> = data
        .alerts
        .iter()
        .filter_map(|alert| alert_fired(alert, injected))
        .collect();
    let took = data.recoveries.iter().filter_map(|pod| pod.recovery_ms);
    let slowest = took.max_by(f64::total_cmp);
    let told = run.events_of(EventKind::Restored).next().is_some();
    if let Some(slowest) = slowest.filter(|_| !told) {
        let text = format!(
            "the slowest pod is back, {} after its deletion",
            duration(slowest)
        );
        all.push((later(injected, slowest), text));
    }
    all
}

fn alert_fired(alert: &AlertSeen, injected: Time) -> Option<(Time, String)> {
    let fired = alert.fired_ms.filter(|_| !alert.before)?;
    let expected = if alert.expected {
        "expected"
    } else {
        "not expected"
    };
    let text = format!("alert {} fires ({expected})", alert.name);
    Some((later(injected, fired), text))
}

/// A moment so many milliseconds later.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no run lasts 2^52 milliseconds"
)]
fn later(time: Time, milliseconds: f64) -> Time {
    let later = time
        .0
        .checked_add(SignedDuration::from_millis(milliseconds as i64));
    Time(later.unwrap_or(time.0))
}

/// Takes out the middle of what is too long.
fn shorten(mut moments: Vec<Moment>) -> Vec<Moment> {
    if moments.len() > MOST {
        let (first, last) = (MOST / 2, moments.len() - (MOST / 2 - 1));
        let text = format!("… and {} more, in the evidence below", last - first);
        let left_out = Moment {
            time: moments[first].time.clone(),
            since: moments[first].since.clone(),
            what: text,
        };
        moments.splice(first..last, [left_out]);
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::examples;

    #[test]
    fn the_story_is_in_order_and_counts_from_the_injection() {
        let told = story(&examples::read(&examples::run()));
        let whats: Vec<&str> = told.iter().map(|moment| moment.what.as_str()).collect();
        assert_eq!(
            whats,
            [
                "health check: pass",
                "backup check: pass",
                "baseline: pass",
                "message “Chaos Engineering Experiment Notification”: sent on 1 of 1 channel",
                "plan: pass",
                "pod-failure begins, run by ops@laptop",
                "deleted pod/backend-old",
                "everything that was hit is at its steady state again",
                "experiment: pass",
                "verification: pass",
            ]
        );
        assert_eq!(told[6].since.as_deref(), Some("+0.0 s"));
        assert_eq!(told[7].since.as_deref(), Some("+5.0 s"));
    }

    #[test]
    fn alerts_stand_where_they_fired_and_what_did_not_fire_is_no_moment() {
        let alert = |name: &str, fired_ms| AlertSeen {
            name: name.into(),
            expected: true,
            before: false,
            fired_ms,
            delivered_ms: None,
        };
        let run = examples::changed(|run| {
            run.experiment().alerts = vec![alert("Loud", Some(2500.0)), alert("Silent", None)];
        });
        let told = story(&run);
        let of = |name: &str| told.iter().find(|moment| moment.what.contains(name));
        let loud = of("Loud").expect("told");
        assert_eq!(loud.since.as_deref(), Some("+2.5 s"));
        assert_eq!(of("Silent"), None);
    }

    #[test]
    fn many_writes_are_told_by_their_number() {
        let run = examples::changed(|run| {
            run.events = vec![examples::event(EventKind::Injected); 30];
        });
        let told = story(&run);
        assert!(told.len() <= MOST);
        let more = told
            .iter()
            .any(|moment| moment.what == "26 writes more of this kind");
        assert!(more, "{told:?}");
    }
}
