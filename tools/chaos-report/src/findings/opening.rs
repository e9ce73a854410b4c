//! What a reader wants to know first: what was broken, what was noticed, how long it took, whether
//! all is as before, and what to do.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{Check, Experiment, Outcome, Status, Verdict};

use super::callers;
use super::fault::{self, Progress};
use super::model::Answer;
use super::run_record::RunRecord;
use super::words::{self, count, duration, question, sentence, whole_duration};

/// The answers, each in whole sentences. `next` is the step that presses most.
pub(crate) fn opening(run: &RunRecord, next: Option<&str>) -> Vec<Answer> {
    let answer = |question, text: String| Answer {
        question,
        answer: sentence(&text),
    };
    let mut all = vec![answer("What was done", what(run))];
    if fault::progress(run) != Progress::NothingWritten {
        if let Some(data) = run.experiment_data() {
            all.push(answer("What callers noticed", callers::in_words(data)));
        }
        all.push(answer("How long it took", how_long(run)));
        all.extend(criteria(run).map(|text| answer("Its criteria", text)));
        all.push(answer("As before?", as_before(run)));
    }
    if let Some(next) = next {
        all.push(answer("What to do next", next.to_owned()));
    }
    all
}

/// What was done to what, or why nothing was.
fn what(run: &RunRecord) -> String {
    let name = run.name().map_or("the experiment".to_owned(), |name| {
        format!("the experiment {name}")
    });
    let name = name.as_str();
    let Some(data) = run.experiment_data() else {
        return unfinished(run, name);
    };
    let reason = data.reason.as_deref().unwrap_or("no reason is recorded");
    match (data.outcome, data.injected) {
        (Outcome::Refused, _) => format!("{name} was refused and touched nothing: {reason}"),
        (Outcome::Aborted, None) => {
            format!("{name} was stopped before its fault began, and nothing was written: {reason}")
        }
        (Outcome::Aborted, Some(_)) => format!(
            "{}. It was aborted: {reason}",
            sentence(&broken(run, data, name)).trim_end_matches('.')
        ),
        _ => broken(run, data, name),
    }
}

fn broken(run: &RunRecord, data: &Experiment, name: &str) -> String {
    let changes = fault::changes(run);
    let done = fault::in_words(&changes).unwrap_or_else(|| {
        let target = |target: &chaos_common::record::Target| target.owner.to_string();
        let targets: Vec<String> = data.targets.iter().map(target).collect();
        match targets.as_slice() {
            [] => "ran; what it changed is not recorded".to_owned(),
            some => format!("hit {}", words::list(some, 2)),
        }
    });
    let stayed = match fault::fault_ms(run) {
        _ if data.outcome == Outcome::NotRestored => "; the fault may still be in place".to_owned(),
        Some(ms) => format!("; {} later that was seen to be undone", duration(ms)),
        None => String::new(),
    };
    format!("{name} {done} in namespace {}{stayed}", data.namespace)
}

/// A stream without a record of the experiment: what its events tell.
fn unfinished(run: &RunRecord, name: &str) -> String {
    let last = run.events.last().map(|event| event.summary.as_str());
    let last = last.map_or_else(String::new, |last| format!("; the last event is: {last}"));
    match fault::progress(run) {
        Progress::NothingWritten => format!(
            "no record tells how {name} went, and no event tells of a write of a fault{last}"
        ),
        Progress::FaultOn => format!(
            "the stream ends in the middle of {name}, after its fault was begun: \
             it may still be in place{last}"
        ),
        Progress::Undone => format!(
            "the stream ends in the middle of {name}, after its fault was taken back \
             and before anything was seen at its steady state again{last}"
        ),
        Progress::Restored => format!(
            "the stream ends in the middle of {name}, after everything that was hit \
             was seen at its steady state again{last}"
        ),
    }
}

/// From the first write to the steady state.
fn how_long(run: &RunRecord) -> String {
    let Some(data) = run.experiment_data() else {
        return "How long it took is not known: no record of the experiment tells".to_owned();
    };
    if data.outcome == Outcome::NotRestored {
        let reason = data.reason.as_deref().unwrap_or("no reason is recorded");
        return format!("It is not restored: {reason}");
    }
    let Some(whole) = fault::restored_ms(run) else {
        return "It was not seen that everything that was hit came back".to_owned();
    };
    let pods = pods(run, data);
    format!(
        "Everything that was hit was at its steady state again {} after the first write{pods}",
        duration(whole)
    )
}

/// The slowest of the pods, where pods were replaced.
fn pods(run: &RunRecord, data: &Experiment) -> String {
    let all = data.recoveries.len();
    if all == 0 {
        return String::new();
    }
    let took: Vec<f64> = data
        .recoveries
        .iter()
        .filter_map(|pod| pod.recovery_ms)
        .collect();
    let Some(slowest) = took.iter().copied().max_by(f64::total_cmp) else {
        let pods = count(all, "pod", "pods");
        return format!("; of {pods} none was seen to recover");
    };
    let limit = run.recovery_limit_ms();
    let limit = limit.map_or_else(
        || "no limit is recorded".to_owned(),
        |limit| format!("{} are allowed", whole_duration(limit)),
    );
    let slowest = duration(slowest);
    match (all, took.len()) {
        (1, _) => format!("; the pod took {slowest} ({limit})"),
        (all, seen) if all == seen => {
            format!("; the slowest of {all} pods took {slowest} ({limit})")
        }
        (all, seen) => format!(
            "; {seen} of {all} pods were seen to recover, the slowest in {slowest} ({limit})"
        ),
    }
}

/// The experiment's own criteria, where one was missed or could not be judged.
fn criteria(run: &RunRecord) -> Option<String> {
    let checks = run.experiment.iter().flat_map(|record| &record.data.checks);
    let checks: Vec<&Check> = checks.collect();
    if let Some(failed) = first(&checks, Status::Fail) {
        return Some(format!("It missed its criterion {failed}"));
    }
    first(&checks, Status::Unknown)
        .map(|unknown| format!("It can't be told whether it met {unknown}"))
}

/// The first check with this answer, and how many more there are.
fn first(checks: &[&Check], status: Status) -> Option<String> {
    let with = checks.iter().filter(|check| check.status == status);
    let named = with.map(|check| format!("{} ({})", question(check), check.message));
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| words::list(&named, 1))
}

/// What the verification says.
fn as_before(run: &RunRecord) -> String {
    if let Some(broken) = run.broken.iter().chain(&run.unreadable).next() {
        return format!("Whether all is as before can't be told: {broken}");
    }
    let Some(verification) = &run.verification else {
        return "Whether all is as before was not verified: \
                the stream holds no verification after the experiment"
            .to_owned();
    };
    let checks: Vec<&Check> = verification.data.checks.iter().collect();
    if let Some(failed) = first(&checks, Status::Fail) {
        return format!("Not as before: {failed}");
    }
    if let Some(unknown) = first(&checks, Status::Unknown) {
        return format!("Whether all is as before can't be told: {unknown}");
    }
    match (verification.verdict, run.conclusion) {
        (Some(Verdict::Pass), Conclusion::NotRestored) => {
            "The verification passes, but the experiment says that it is not restored".to_owned()
        }
        (Some(Verdict::Pass), _) => {
            format!("As before, as far as was looked: {}", verification.summary)
        }
        (verdict, _) => format!(
            "The verification says {}: {}",
            verdict.map_or("nothing", Verdict::word),
            verification.summary
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::examples::{self, Run, event};
    use chaos_common::record::EventKind;

    fn of(change: impl Fn(&mut Run)) -> String {
        let mut run = examples::run();
        change(&mut run);
        let all = opening(&examples::read(&run), Some("repeat it"));
        let text = all.iter().map(|one| one.answer.as_str());
        text.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_good_run_answers_all_that_a_reader_asks_first() {
        assert_eq!(
            of(|_| {}),
            "The experiment pod-failure deleted 1 pod (backend-old) in namespace shop. \
             Callers noticed nothing: all 100 requests for backend-service/health were answered well. \
             Everything that was hit was at its steady state again 5.0 s after the first write; \
             the pod took 4.2 s (120.0 s are allowed). \
             As before, as far as was looked: 3 of 3 checks pass. \
             Repeat it."
        );
    }

    #[test]
    fn a_refused_run_says_so_and_nothing_of_recovery() {
        let text = of(|run| {
            run.events.clear();
            let data = run.experiment();
            data.outcome = Outcome::Refused;
            (data.injected, data.restored) = (None, None);
            data.reason = Some("gate.health fail: stale".into());
        });
        assert_eq!(
            text,
            "The experiment pod-failure was refused and touched nothing: gate.health fail: stale. Repeat it."
        );
    }

    #[test]
    fn what_is_not_restored_is_never_said_to_be_whole() {
        let text = of(|run| {
            let data = run.experiment();
            data.outcome = Outcome::NotRestored;
            data.restored = None;
            data.reason = Some("deployment/backend has 0 pods".into());
        });
        let said = "It is not restored: deployment/backend has 0 pods.";
        assert!(text.contains(said), "{text}");
        assert!(text.contains("the fault may still be in place"), "{text}");
        assert!(!text.contains("was at its steady state again"), "{text}");
        assert!(!text.contains("As before, as far as was looked"), "{text}");
    }

    #[test]
    fn a_missed_criterion_says_nothing_of_the_state_afterwards() {
        let text = of(|run| {
            let check = Check::fail("x.alerts", "alert/Down", "stayed silent");
            run.experiment().checks.push(check);
        });
        assert!(
            text.contains("It missed its criterion x.alerts alert/Down (stayed silent)."),
            "{text}"
        );
        assert!(text.contains("As before, as far as was looked"), "{text}");
    }

    #[test]
    fn a_stream_that_ends_anywhere_tells_how_far_it_is_known_to_have_come() {
        let upto = |kinds: &[EventKind]| {
            of(|run| {
                (run.experiment, run.verification) = (None, None);
                run.events = kinds.iter().map(|kind| event(*kind)).collect();
            })
        };
        let text = upto(&[EventKind::Started, EventKind::Intent]);
        assert!(
            text.contains("no event tells of a write of a fault"),
            "{text}"
        );
        let text = upto(&[EventKind::Injected]);
        assert!(text.contains("it may still be in place"), "{text}");
        let text = upto(&[EventKind::Injected, EventKind::Undo]);
        assert!(text.contains("after its fault was taken back"), "{text}");
        assert!(!text.contains("still be in place"), "{text}");
        let text = upto(&[EventKind::Injected, EventKind::Undo, EventKind::Restored]);
        assert!(text.contains("seen at its steady state again"), "{text}");
        assert!(!text.contains("As before, as far as was looked"), "{text}");
    }

    #[test]
    fn what_was_not_verified_is_not_as_before() {
        let text = of(|run| run.verification = None);
        assert!(text.contains("was not verified"), "{text}");
        let failed = Check::fail("data.rows", "orders", "118 rows, 120 before");
        let text = of(|run| run.verification().checks.push(failed.clone()));
        assert!(
            text.contains("Not as before: data.rows orders (118 rows, 120 before)."),
            "{text}"
        );
        let text = of(|run| run.tail = b"{\"schema\":\"cha".to_vec());
        assert!(text.contains("can't be told: the stream is cut"), "{text}");
    }
}
