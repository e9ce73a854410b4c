//! `journal`: a run as its local journal shows it, also one that was killed before it could write
//! its record. What the journal does not show is unknown.

use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    Change, Check, EventKind, Experiment, Loss, Outcome, Plan, Status, Time, Timings, Verdict,
    summarize,
};
use chaos_common::stream::Stream;

use crate::safety::intent::Intent;
use crate::safety::journal::{self, Line};
use crate::safety::journal_entry::{Entry, GuardianState};

/// Shows the run with this id, or one that begins so; without any, the latest.
///
/// # Errors
/// There is no such journal, or it shows no run.
pub fn replay(stream: &mut Stream, run: Option<&str>) -> Result<Exit, Failure> {
    let folder = journal::folder().map_err(|error| Failure::usage(error.to_string()))?;
    let path = find(&folder, run)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::unknown(format!(
            "cannot read the journal {}: {error}",
            path.display()
        ))
    })?;
    let Some((verdict, record)) = run_of_journal(&text) else {
        return Err(Failure::unknown(format!(
            "the journal {} shows no run: it does not begin with an intent",
            path.display()
        ))
        .hint("chaos-inject status shows what runs left in the cluster"));
    };
    let exit = record.outcome.exit().unwrap_or(verdict.into());
    let summary = match &record.reason {
        Some(reason) => format!("{}: {reason}", record.experiment),
        None => format!("{}: {}", record.experiment, summarize(&record.checks)),
    };
    Ok(stream.result(verdict, summary, record, exit))
}

/// The journal whose name begins so, or the latest: names begin with the time.
fn find(folder: &Path, run: Option<&str>) -> Result<PathBuf, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!("no journals in {}: {error}", folder.display()))
    };
    let names = std::fs::read_dir(folder)
        .map_err(cannot)?
        .flatten()
        .map(|entry| entry.path());
    let of_run = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".ndjson") && run.is_none_or(|run| name.starts_with(run))
    };
    names.filter(of_run).max().ok_or_else(|| {
        let which = run.map_or("no run".to_owned(), |run| format!("no run {run:?}"));
        Failure::usage(format!("{which} has a journal in {}", folder.display()))
            .hint("journals are where the run was started, in $XDG_STATE_HOME")
    })
}

/// The run of a journal, and its verdict; `None` if it does not begin with an intent.
fn run_of_journal(text: &str) -> Option<(Verdict, Experiment)> {
    let (lines, chain) = journal::parse(text);
    let entry = |line: &Line| {
        let entry = serde_json::from_value::<Entry>(line.what.clone()).ok()?;
        Some((line.time, entry))
    };
    let mut entries = lines.iter().filter_map(entry);
    let Some((started, Entry::Began { intent, plan })) = entries.next() else {
        return None;
    };
    let mut replay = Replay::of(&intent, &plan, started);
    for (time, entry) in entries {
        replay.add(time, entry);
    }
    Some(replay.finish(chain))
}

/// What the entries so far show.
struct Replay {
    record: Experiment,
    ended: Option<(Verdict, Experiment)>,
    /// The guardian took over, and has come so far.
    guardian: Option<GuardianState>,
    /// What goes with the pods that the fault takes away.
    losses: Vec<Loss>,
    /// Something has to be undone, which a controller does not do by itself.
    to_undo: bool,
}

/// How a run without a record ended, as far as its journal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KilledRun {
    UndoneByGuardian,
    GuardianUnfinished,
    AfterRecovery,
    BeforeFault,
    FaultInPlace,
    BeforeRecovery,
}

impl KilledRun {
    fn outcome(self) -> Outcome {
        match self {
            KilledRun::UndoneByGuardian | KilledRun::AfterRecovery => Outcome::Aborted,
            KilledRun::GuardianUnfinished
            | KilledRun::BeforeFault
            | KilledRun::FaultInPlace
            | KilledRun::BeforeRecovery => Outcome::NotRestored,
        }
    }

    fn message(self) -> &'static str {
        match self {
            KilledRun::UndoneByGuardian => "the tool died, and its guardian undid the fault",
            KilledRun::GuardianUnfinished => {
                "its guardian took over, and the journal does not show that it came to an end"
            }
            KilledRun::AfterRecovery => {
                "the journal ends after the recovery, without a record: \
                 chaos-inject recover unlocks the target if it is locked"
            }
            KilledRun::BeforeFault => "the journal ends before a write of the fault was noted",
            KilledRun::FaultInPlace => "the journal ends with the fault on",
            KilledRun::BeforeRecovery => "the journal ends before the recovery was seen",
        }
    }
}

impl Replay {
    fn of(intent: &Intent, plan: &Plan, started: Time) -> Replay {
        let record = Experiment {
            experiment: intent.experiment.clone(),
            outcome: Outcome::NotRestored,
            reason: None,
            cluster: Some(plan.cluster.clone()),
            namespace: plan.namespace.clone(),
            executor: intent.executor.clone(),
            targets: plan.targets.clone(),
            affected: plan.affected.clone(),
            started,
            injected: None,
            restored: None,
            ended: started,
            duration_ms: 0,
            checks: plan.checks.clone(),
            recoveries: Vec::new(),
            availability: Vec::new(),
            alerts: Vec::new(),
            losses: Vec::new(),
            timings: Timings::default(),
            overridden: Vec::new(),
            actions: Vec::new(),
            issues: Vec::new(),
        };
        let to_undo = intent
            .changes
            .iter()
            .any(|change| !matches!(change, Change::Delete { .. }));
        Replay {
            record,
            ended: None,
            guardian: None,
            losses: plan.losses.clone(),
            to_undo,
        }
    }

    fn add(&mut self, time: Time, entry: Entry) {
        self.record.ended = time;
        match entry {
            Entry::Ended { verdict, end } => self.ended = Some((verdict, *end)),
            Entry::Event {
                event,
                object,
                summary,
            } => {
                match (event, object) {
                    (EventKind::Injected, _) => _ = self.record.injected.get_or_insert(time),
                    // Of one object it is a step only; without one, everything has recovered.
                    (EventKind::Restored, None) => self.record.restored = Some(time),
                    _ => {}
                }
                self.record.actions.push(summary);
            }
            Entry::Guardian { guardian, .. } => {
                self.guardian = Some(guardian);
                let action = format!("the guardian: {}", guardian.word());
                self.record.actions.push(action);
            }
            Entry::Began { .. } => {}
        }
    }

    fn finish(self, chain: Check) -> (Verdict, Experiment) {
        let damaged = chain.status == Status::Fail;
        let killed = self.killed();
        if let Some((verdict, mut record)) = self.ended {
            record.checks.push(chain);
            // What a damaged journal shows is not known to be what was written.
            return (if damaged { Verdict::Unknown } else { verdict }, record);
        }
        let mut record = self.record;
        record.outcome = killed.outcome();
        record.reason = Some(killed.message().to_owned());
        let ended = Check::unknown(
            "journal.end",
            "",
            "it ends without a result: the tool was killed, or its disk was full",
        );
        record.checks.extend([ended, chain]);
        #[expect(clippy::cast_sign_loss, reason = "lines follow each other")]
        let duration_ms = record.ended.since_ms(record.started).max(0) as u64;
        record.duration_ms = duration_ms;
        if record.injected.is_some() {
            let lost = self
                .losses
                .iter()
                .map(|loss| format!("lost, or may be: {}", loss.message));
            record.issues.extend(lost);
            record.losses = self.losses;
        }
        if record.outcome == Outcome::NotRestored {
            record.issues.push(format!(
                "{}: chaos-inject status shows what is left, chaos-inject recover undoes it",
                killed.message()
            ));
            return (Verdict::Fail, record);
        }
        (Verdict::Unknown, record)
    }

    /// How far the run has come, if it has no record.
    fn killed(&self) -> KilledRun {
        match (self.guardian, self.record.injected, self.record.restored) {
            (Some(GuardianState::Restored), ..) => KilledRun::UndoneByGuardian,
            (Some(_), ..) => KilledRun::GuardianUnfinished,
            (None, _, Some(_)) => KilledRun::AfterRecovery,
            (None, None, None) => KilledRun::BeforeFault,
            (None, Some(_), None) if self.to_undo => KilledRun::FaultInPlace,
            (None, Some(_), None) => KilledRun::BeforeRecovery,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    use crate::safety::journal::Journal;
    use crate::testing::objects::{intent, plan, scale_to_zero};

    /// The text of a journal that goes on so after the intent to scale a Deployment down.
    fn journal(lines: &[Value]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        let changes = [scale_to_zero("db", 1)];
        let began = Entry::Began {
            intent: Box::new(intent(&changes, &["db"])),
            plan: Box::new(plan(&changes, &["db"])),
        };
        journal.write(&began).expect("room on the disk");
        for line in lines {
            journal.write(line).expect("room on the disk");
        }
        std::fs::read_to_string(journal.path()).expect("readable")
    }

    fn replayed(lines: &[Value]) -> (Outcome, String) {
        let (verdict, record) = run_of_journal(&journal(lines)).expect("a run");
        assert_ne!(verdict, Verdict::Pass, "a killed run never passes");
        (record.outcome, record.reason.expect("it was killed"))
    }

    fn event(event: &str) -> Value {
        json!({ "event": event, "object": null, "summary": event })
    }

    fn guardian(state: &str) -> Value {
        json!({ "guardian": state })
    }

    fn passed() -> Value {
        let (_, mut record) = run_of_journal(&journal(&[])).expect("a run");
        record.outcome = Outcome::Completed;
        json!({ "verdict": "pass", "end": record })
    }

    #[track_caller]
    fn is(lines: &[Value], outcome: Outcome, word: &str) {
        let (found, reason) = replayed(lines);
        assert!(
            found == outcome && reason.contains(word),
            "{lines:?}: {found:?}: {reason}"
        );
    }

    #[test]
    fn a_killed_run_says_how_far_it_came() {
        let of_pod = json!({ "event": "restored", "object": "pod/a", "summary": "pod a is ready" });
        let (injected, restored) = (event("injected"), event("restored"));
        is(
            &[event("intent")],
            Outcome::NotRestored,
            "before a write of the fault was noted",
        );
        is(
            std::slice::from_ref(&injected),
            Outcome::NotRestored,
            "with the fault on",
        );
        is(
            &[injected.clone(), of_pod],
            Outcome::NotRestored,
            "with the fault on",
        );
        is(
            &[injected, restored],
            Outcome::Aborted,
            "after the recovery",
        );
    }

    #[test]
    fn only_a_guardian_that_restored_everything_counts_as_restored() {
        let (injected, takes_over) = (event("injected"), guardian("takes over"));
        let run = |state: &str| [injected.clone(), takes_over.clone(), guardian(state)];
        is(
            &[injected.clone(), takes_over.clone()],
            Outcome::NotRestored,
            "that it came to an end",
        );
        is(
            &run("undone"),
            Outcome::NotRestored,
            "that it came to an end",
        );
        is(
            &run("of a newer version"),
            Outcome::NotRestored,
            "that it came to an end",
        );
        is(
            &run("restored"),
            Outcome::Aborted,
            "its guardian undid the fault",
        );
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_never_says_pass() {
        let text = journal(&[event("injected"), event("restored"), passed()]);
        let (verdict, _) = run_of_journal(&text).expect("a run");
        assert_eq!(verdict, Verdict::Pass, "whole, it does");
        for end in (0..text.len() - 1).filter(|end| text.is_char_boundary(*end)) {
            let verdict = run_of_journal(&text[..end]).map(|(verdict, _)| verdict);
            assert_ne!(verdict, Some(Verdict::Pass), "cut after {end} bytes");
        }
    }

    #[test]
    fn a_journal_that_lost_a_line_never_says_pass() {
        let text = journal(&[event("injected"), event("restored"), passed()]);
        for lost in 0..text.lines().count() - 1 {
            let rest = text.lines().enumerate().filter(|(n, _)| *n != lost);
            let rest: Vec<&str> = rest.map(|(_, line)| line).collect();
            let verdict = run_of_journal(&rest.join("\n")).map(|(verdict, _)| verdict);
            assert_ne!(verdict, Some(Verdict::Pass), "without line {lost}");
        }
    }

    #[test]
    fn the_latest_journal_is_the_one_whose_name_is_last() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["a-1.ndjson", "a-2.ndjson", "b-1.ndjson", "c.txt"] {
            std::fs::write(folder.path().join(name), "").expect("writable");
        }
        let found = |run| {
            find(folder.path(), run)
                .ok()
                .map(|path| path.file_name().expect("a file").to_owned())
        };
        assert_eq!(found(None), Some("b-1.ndjson".into()));
        assert_eq!(found(Some("a")), Some("a-2.ndjson".into()));
        assert_eq!(found(Some("x")), None);
    }
}
