//! What a whole stream says of its experiment, in one word.

use crate::exit::Exit;
use crate::record::{Experiment, Outcome, Record, Verdict, Verification};
use crate::stream::Upstream;

/// How an experiment came out, all in all. The word of it stands behind `Status:` in reports and
/// messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conclusion {
    /// It ran to its end, met its criteria, and all was verified to be as before.
    Pass,
    /// It was refused; nothing was touched.
    Refused,
    /// It was aborted and everything is restored.
    Aborted,
    /// The stream does not tell: there is no experiment, no verification, or it can't be trusted.
    Unknown,
    /// It missed a criterion, or something is not as before.
    Fail,
    /// A fault may still be in place.
    NotRestored,
}

impl Conclusion {
    /// The word in reports and messages.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Pass => "pass",
            Conclusion::Refused => "refused",
            Conclusion::Aborted => "aborted",
            Conclusion::Unknown => "unknown",
            Conclusion::Fail => "fail",
            Conclusion::NotRestored => "NOT RESTORED",
        }
    }

    /// The exit status that says the same.
    pub fn exit(self) -> Exit {
        match self {
            Conclusion::Pass => Exit::Pass,
            Conclusion::Refused => Exit::Refused,
            Conclusion::Aborted => Exit::Aborted,
            Conclusion::Unknown => Exit::Unknown,
            Conclusion::Fail => Exit::Fail,
            Conclusion::NotRestored => Exit::NotRestored,
        }
    }

    /// What a stream says of its latest experiment: the worst of how it ended, its verdict and the
    /// verification after it. A refused one touched nothing, so that a verification says nothing of
    /// it and may be missing. Verifications from before the experiment don't count.
    pub fn of(upstream: &Upstream) -> Conclusion {
        let experiment = upstream.latest::<Experiment>().ok().flatten();
        let verification = upstream.latest::<Verification>().ok().flatten();
        let conclusion = conclude(experiment.as_ref(), verification.as_ref());
        if upstream.broken.is_some() {
            conclusion.max(Conclusion::Unknown)
        } else {
            conclusion
        }
    }
}

fn conclude(
    experiment: Option<&Record<Experiment>>,
    verification: Option<&Record<Verification>>,
) -> Conclusion {
    let Some(experiment) = experiment else {
        return Conclusion::Unknown;
    };
    let own = match experiment.data.outcome {
        Outcome::Refused => return Conclusion::Refused,
        Outcome::NotRestored => Conclusion::NotRestored,
        Outcome::Aborted => Conclusion::Aborted,
        Outcome::Completed => judged(experiment.verdict),
    };
    let after = verification.filter(|verification| verification.time >= experiment.time);
    own.max(judged(after.and_then(|verification| verification.verdict)))
}

fn judged(verdict: Option<Verdict>) -> Conclusion {
    match verdict {
        Some(Verdict::Pass) => Conclusion::Pass,
        Some(Verdict::Fail) => Conclusion::Fail,
        Some(Verdict::Unknown) | None => Conclusion::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: &str, second: u32, verdict: &str, data: &str) -> String {
        format!(
            r#"{{"schema":"chaos.{kind}/1","id":"1","run":"r","time":"2026-11-22T16:00:{second:02}.000Z","tool":"t 1","verdict":"{verdict}","summary":"s","data":{data}}}"#
        ) + "\n"
    }

    fn experiment(second: u32, verdict: &str, outcome: &str) -> String {
        let data = format!(
            r#"{{"experiment":"pod-failure","outcome":"{outcome}","namespace":"n","executor":"e","targets":[],
            "started":"2026-11-22T16:00:00.000Z","ended":"2026-11-22T16:00:01.000Z","duration_ms":1000,"checks":[],
            "recoveries":[],"availability":[],"actions":[],"issues":[]}}"#
        );
        line("experiment", second, verdict, &data.replace('\n', ""))
    }

    fn verification(second: u32, verdict: &str) -> String {
        let data = r#"{"cluster":{"id":"c","server":"s"},"namespace":"n","since":"2026-11-22T16:00:00.000Z","checks":[],"state":{"workloads":[],"services":[],"nodes":[]},"configuration":[],"answers":[],"log_errors":[],"timings":[]}"#;
        line("verification", second, verdict, data)
    }

    fn of(stream: &str) -> Conclusion {
        Conclusion::of(&Upstream::from_reader(stream.as_bytes()).expect("memory can be read"))
    }

    #[test]
    fn the_worst_of_outcome_verdict_and_verification_counts() {
        let pass = experiment(1, "pass", "completed");
        assert_eq!(
            of(&(pass.clone() + &verification(2, "pass"))),
            Conclusion::Pass
        );
        assert_eq!(
            of(&(pass.clone() + &verification(2, "fail"))),
            Conclusion::Fail
        );
        assert_eq!(
            of(&(pass + &verification(2, "unknown"))),
            Conclusion::Unknown
        );
        assert_eq!(
            of(&(experiment(1, "fail", "completed") + &verification(2, "pass"))),
            Conclusion::Fail
        );
        assert_eq!(
            of(&(experiment(1, "unknown", "aborted") + &verification(2, "pass"))),
            Conclusion::Aborted
        );
        assert_eq!(
            of(&(experiment(1, "fail", "not_restored") + &verification(2, "pass"))),
            Conclusion::NotRestored
        );
    }

    #[test]
    fn what_is_missing_is_unknown() {
        assert_eq!(of(""), Conclusion::Unknown);
        assert_eq!(of(&verification(2, "pass")), Conclusion::Unknown);
        assert_eq!(of(&experiment(1, "pass", "completed")), Conclusion::Unknown);
        let early = verification(0, "pass") + &experiment(1, "pass", "completed");
        assert_eq!(of(&early), Conclusion::Unknown);
        let cut = experiment(1, "pass", "completed") + &verification(2, "pass") + "{\"sch";
        assert_eq!(of(&cut), Conclusion::Unknown);
    }

    #[test]
    fn a_refused_experiment_needs_no_verification() {
        assert_eq!(of(&experiment(1, "fail", "refused")), Conclusion::Refused);
        assert_eq!(
            of(&(experiment(1, "fail", "refused") + &verification(2, "fail"))),
            Conclusion::Refused
        );
    }
}
