//! Whether to run the experiment again, and after what.

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{Outcome, Target};

use super::{Found, Rule, Topic};
use crate::findings::fault::{self, Progress};
use crate::findings::run_record::RunRecord;
use crate::findings::words::{duration, list};

/// One recommendation, by how the run came out.
pub(super) const RECOMMENDED: Rule = Rule {
    name: "recommended",
    topic: Topic::Recommendations,
    derive: recommended,
};

fn recommended(run: &RunRecord) -> Vec<Found> {
    let name = run.name().unwrap_or("the experiment");
    let text = match run.conclusion {
        Conclusion::Pass => again(run, name),
        Conclusion::Fail => {
            format!("Resolve what failed, then run {name} again before a larger experiment")
        }
        Conclusion::Unknown if may_be_on(run) => RECOVER.to_owned(),
        Conclusion::Unknown => format!(
            "Run {name} again once everything in it can be measured: until then its answer is unknown"
        ),
        Conclusion::Refused => format!("Clear what {name} was refused for, then run it"),
        Conclusion::Aborted => format!("Find out what made {name} stop before it is run again"),
        Conclusion::NotRestored => RECOVER.to_owned(),
    };
    vec![Found::new(text, "all records together")]
}

const RECOVER: &str = "Run chaos-inject status and chaos-inject recover now, \
                       and chaos-health after them";

/// The run has no end in the stream, and its fault may be in place.
fn may_be_on(run: &RunRecord) -> bool {
    let ended = run.experiment_data().map(|data| data.outcome);
    match ended {
        Some(outcome) => outcome == Outcome::NotRestored,
        None => fault::progress(run) == Progress::FaultOn,
    }
}

/// When to run it again, and what to hold it against.
fn again(run: &RunRecord, name: &str) -> String {
    let data = run.experiment_data();
    let owner = |target: &Target| target.owner.to_string();
    let mut targets: Vec<String> = data
        .map(|data| data.targets.iter().map(owner).collect())
        .unwrap_or_default();
    targets.dedup();
    let what = match targets.as_slice() {
        [] => "what it hit".to_owned(),
        some => list(some, 3),
    };
    let whole = fault::restored_ms(run).map(|ms| {
        format!(
            ", and hold it against the {} until the steady state of this one",
            duration(ms)
        )
    });
    format!(
        "Run {name} again after the next change to {what}{}",
        whole.unwrap_or_default()
    )
}
