//! `journal`: a run as its local journal tells it, also one that was killed before it could write
//! its record. What the journal does not show is unknown.

use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    Change, Check, EventKind, Experiment, Outcome, Plan, Status, Time, Timings, Verdict, summarize,
};
use chaos_common::stream::Stream;
use serde::Deserialize;
use serde_json::Value;

use crate::safety::intent::Intent;
use crate::safety::journal::{self, Line};

/// Tells of the run with this id, or one that begins so; without any, of the latest.
pub fn retell(stream: &mut Stream, run: Option<&str>) -> Result<Exit, Failure> {
    let folder = journal::folder().map_err(Failure::usage)?;
    let path = find(&folder, run)?;
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::unknown(format!(
            "cannot read the journal {}: {error}",
            path.display()
        ))
    })?;
    let (verdict, told) = read(&text).map_err(|why| {
        Failure::unknown(format!(
            "the journal {} tells of no run: {why}",
            path.display()
        ))
        .hint("chaos-inject status shows what runs left in the cluster")
    })?;
    let exit = told.outcome.exit().unwrap_or(verdict.into());
    let summary = match &told.reason {
        Some(reason) => format!("{}: {reason}", told.experiment),
        None => format!("{}: {}", told.experiment, summarize(&told.checks)),
    };
    Ok(stream.result(verdict, summary, told, exit))
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

/// What a line of a journal tells.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Began {
        intent: Intent,
        plan: Box<Plan>,
    },
    Ended {
        verdict: Verdict,
        end: Box<Experiment>,
    },
    Event {
        event: EventKind,
        object: Option<String>,
        summary: String,
    },
    Guardian {
        guardian: String,
    },
}

/// The run of a journal, and its verdict.
fn read(text: &str) -> Result<(Verdict, Experiment), String> {
    let (lines, chain) = journal::verify(text);
    let told = |line: &Line| {
        Some((
            line.time,
            serde_json::from_value::<Told>(line.what.clone()).ok()?,
        ))
    };
    let mut lines = lines.iter().filter_map(told);
    let Some((started, Told::Began { intent, plan })) = lines.next() else {
        return Err("it does not begin with an intent".to_owned());
    };
    let mut story = Retold::of(&intent, &plan, started);
    for (time, told) in lines {
        story.take(time, told);
    }
    Ok(story.end(chain))
}

struct Retold {
    record: Experiment,
    ended: Option<(Verdict, Experiment)>,
    /// The guardian took over, and whether it has restored everything.
    guardian: Option<bool>,
    /// Something has to be taken back, which a controller does not do by itself.
    to_undo: bool,
}

impl Retold {
    fn of(intent: &Intent, plan: &Plan, started: Time) -> Retold {
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
            timings: Timings::default(),
            overridden: None,
            actions: Vec::new(),
            issues: Vec::new(),
        };
        let to_undo = intent
            .changes
            .iter()
            .any(|change| !matches!(change, Change::Delete { .. }));
        Retold {
            record,
            ended: None,
            guardian: None,
            to_undo,
        }
    }

    fn take(&mut self, time: Time, told: Told) {
        self.record.ended = time;
        match told {
            Told::Ended { verdict, end } => self.ended = Some((verdict, *end)),
            Told::Event {
                event,
                object,
                summary,
            } => {
                match (event, object) {
                    (EventKind::Injected, _) => _ = self.record.injected.get_or_insert(time),
                    (EventKind::Restored, None) => self.record.restored = Some(time),
                    _ => {}
                }
                self.record.actions.push(summary);
            }
            Told::Guardian { guardian } => {
                self.guardian = Some(guardian == "restored");
                self.record
                    .actions
                    .push(format!("the guardian: {guardian}"));
            }
            Told::Began { .. } => {}
        }
    }

    fn end(self, chain: Check) -> (Verdict, Experiment) {
        let broken = chain.status == Status::Fail;
        if let Some((verdict, mut record)) = self.ended {
            record.checks.push(chain);
            // Lines that somebody changed prove nothing.
            return (if broken { Verdict::Unknown } else { verdict }, record);
        }
        let mut record = self.record;
        let (outcome, why) = match (self.guardian, record.injected, record.restored) {
            (Some(true), ..) => (
                Outcome::Aborted,
                "the tool died, and its guardian undid the fault",
            ),
            (Some(false), ..) => (
                Outcome::NotRestored,
                "the tool died, and its guardian did not come to an end",
            ),
            (None, _, Some(_)) => (
                Outcome::Aborted,
                "tool and guardian died when all was whole again: chaos-inject recover unlocks it",
            ),
            (None, None, None) => (
                Outcome::NotRestored,
                "tool and guardian died before a write of the fault was noted",
            ),
            (None, Some(_), None) if self.to_undo => (
                Outcome::NotRestored,
                "tool and guardian died with the fault on",
            ),
            (None, Some(_), None) => (
                Outcome::NotRestored,
                "tool and guardian died before it was seen to be whole again",
            ),
        };
        record.outcome = outcome;
        record.reason = Some(why.to_owned());
        if outcome == Outcome::NotRestored {
            record.issues.push(format!(
                "{why}: chaos-inject status shows what is left, chaos-inject recover undoes it"
            ));
        }
        #[expect(clippy::cast_sign_loss, reason = "lines follow each other")]
        let duration_ms = record.ended.since_ms(record.started).max(0) as u64;
        record.duration_ms = duration_ms;
        record.checks.push(Check::unknown(
            "journal.end",
            "",
            "it ends without a result: the tool was killed",
        ));
        record.checks.push(chain);
        (
            if outcome == Outcome::NotRestored {
                Verdict::Fail
            } else {
                Verdict::Unknown
            },
            record,
        )
    }
}

/// What the last line of a journal holds.
pub fn last_line(verdict: Verdict, record: &Experiment) -> Value {
    serde_json::json!({ "verdict": verdict, "end": record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::safety::journal::Journal;
    use serde_json::json;

    /// How a run is retold whose journal goes on so after its intent to scale a Deployment down.
    fn retold(lines: &[Value]) -> (Outcome, String) {
        let object = json!({
            "api_version": "apps/v1", "kind": "Deployment", "resource": "deployments", "namespace": "prod", "name": "db",
        });
        let plan = json!({
            "experiment": "storage-failure", "cluster": { "server": "https://k", "id": "c" }, "namespace": "prod",
            "targets": [], "calls": [], "blast_radius": [], "undo": "", "undo_commands": [], "worst_case_ms": 0,
            "permissions": [], "checks": [],
            "changes": [{ "change": "set", "object": object, "field": ["spec", "replicas"], "original": 1, "faulted": 0 }],
        });
        let plan: Plan = serde_json::from_value(plan).expect("a plan");
        let intent = Intent::of(&plan, "run", "ops@laptop", Duration::from_secs(60));
        let folder = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(folder.path(), "run").expect("a journal");
        journal
            .write(&json!({ "intent": intent, "plan": plan }))
            .expect("room on the disk");
        for line in lines {
            journal.write(line).expect("room on the disk");
        }
        let (verdict, told) =
            read(&std::fs::read_to_string(journal.path()).expect("readable")).expect("a run");
        assert_ne!(verdict, Verdict::Pass, "what was killed proves nothing");
        (told.outcome, told.reason.expect("it was killed"))
    }

    #[test]
    fn a_killed_run_says_how_far_it_came() {
        let event = |event: &str| json!({ "event": event, "object": null, "summary": event });
        let of_pod =
            json!({ "event": "restored", "object": "pod/a", "summary": "pod a stands in for b" });
        let guardian = |word: &str| json!({ "guardian": word });
        let (injected, restored) = (event("injected"), event("restored"));
        let is = |lines: &[Value], outcome, word: &str| {
            let (told, reason) = retold(lines);
            assert!(
                told == outcome && reason.contains(word),
                "{lines:?}: {told:?}: {reason}"
            );
        };
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
            &[injected.clone(), restored],
            Outcome::Aborted,
            "when all was whole again",
        );
        is(
            &[injected.clone(), guardian("takes over")],
            Outcome::NotRestored,
            "did not come to an end",
        );
        is(
            &[injected, guardian("takes over"), guardian("restored")],
            Outcome::Aborted,
            "its guardian undid the fault",
        );
    }
}
