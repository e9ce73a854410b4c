//! What those who called the Services and URLs met while the experiment ran.

use chaos_common::record::{Availability, Experiment};

use super::words::{self, duration};

/// What the requests for one path met, and what was expected of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Path<'a> {
    pub(crate) seen: &'a Availability,
    /// It was expected to suffer.
    pub(crate) affected: bool,
}

impl Path<'_> {
    /// As people write it.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.seen.service, self.seen.path)
    }

    /// Requests that were sent and not answered well.
    pub(crate) fn bad(&self) -> u64 {
        self.seen.requests.saturating_sub(self.seen.good)
    }

    /// Whether anything is known of it.
    pub(crate) fn was_asked(&self) -> bool {
        self.seen.requests > 0
    }

    /// Some of what was asked was not answered well.
    pub(crate) fn suffered(&self) -> bool {
        self.bad() > 0 || self.seen.longest_gap_ms > 0.0
    }

    /// Of its callers: `went 2.3 s (±100 ms) without a good answer; 12 of 120 requests failed`.
    pub(crate) fn outage(&self) -> String {
        format!(
            "went {} (±{} ms) without a good answer at the longest; {} of {} requests failed",
            duration(self.seen.longest_gap_ms),
            self.seen.interval_ms,
            self.bad(),
            self.seen.requests
        )
    }
}

/// All paths that were to be asked, those that suffered most first.
pub(crate) fn paths(experiment: &Experiment) -> Vec<Path<'_>> {
    let path = |seen| Path {
        seen,
        affected: is_affected(&experiment.affected, seen),
    };
    let mut paths: Vec<Path<'_>> = experiment.availability.iter().map(path).collect();
    paths.sort_by(|a, b| {
        let gap = |path: &Path<'_>| path.seen.longest_gap_ms;
        gap(b).total_cmp(&gap(a)).then(b.bad().cmp(&a.bad()))
    });
    paths
}

/// `affected` names Services, single paths (`SERVICE/PATH`) and URLs.
fn is_affected(affected: &[String], seen: &Availability) -> bool {
    let named = |one: &String| {
        let rest = one.strip_prefix(seen.service.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest == seen.path)
    };
    affected.iter().any(named)
}

/// What callers noticed, in sentences.
pub(crate) fn in_words(experiment: &Experiment) -> String {
    let all = paths(experiment);
    let (asked, unasked): (Vec<Path<'_>>, Vec<Path<'_>>) =
        all.into_iter().partition(Path::was_asked);
    if asked.is_empty() {
        return "What callers noticed was not measured".to_owned();
    }
    let (expected, others): (Vec<Path<'_>>, Vec<Path<'_>>) =
        asked.iter().copied().partition(|path| path.affected);
    let mut said = Vec::new();
    said.extend(unexpected(&others));
    said.extend(as_expected(&expected));
    let missed: u64 = asked.iter().map(|path| path.seen.missed).sum();
    if missed > 0 {
        said.push(format!(
            "{missed} requests could not be sent, and what they would have met is not known"
        ));
    }
    if !unasked.is_empty() {
        let names: Vec<String> = unasked.iter().map(Path::name).collect();
        said.push(format!(
            "Not asked, as it could not be: {}",
            words::list(&names, 2)
        ));
    }
    said.join(". ")
}

/// What nobody expected to suffer.
fn unexpected(paths: &[Path<'_>]) -> Option<String> {
    let bad: Vec<&Path<'_>> = paths.iter().filter(|path| path.suffered()).collect();
    let requests: u64 = paths.iter().map(|path| path.seen.requests).sum();
    match bad.as_slice() {
        [] if paths.is_empty() => None,
        [] if paths.iter().any(|path| path.seen.missed > 0) => Some(format!(
            "All {requests} requests that were sent for {} were answered well",
            named(paths)
        )),
        [] => Some(format!(
            "Callers noticed nothing: all {requests} requests for {} were answered well",
            named(paths)
        )),
        [one] => Some(format!("Callers of {} {}", one.name(), one.outage())),
        [worst, rest @ ..] => Some(format!(
            "Callers of {} {}; {} suffered, too",
            worst.name(),
            worst.outage(),
            words::count(rest.len(), "other path", "other paths")
        )),
    }
}

/// What was expected to suffer.
fn as_expected(paths: &[Path<'_>]) -> Option<String> {
    let suffered: Vec<Path<'_>> = paths.iter().copied().filter(Path::suffered).collect();
    let (worst, _) = suffered.split_first().unzip();
    match (worst, paths) {
        (None, []) => None,
        (None, paths) => Some(format!("Expected to suffer, and did not: {}", named(paths))),
        (Some(worst), _) if suffered.len() == 1 => Some(format!(
            "As expected, callers of {} {}",
            worst.name(),
            worst.outage()
        )),
        (Some(worst), _) => Some(format!(
            "As expected, {} paths suffered: callers of {} {}",
            suffered.len(),
            worst.name(),
            worst.outage()
        )),
    }
}

fn named(paths: &[Path<'_>]) -> String {
    let names: Vec<String> = paths.iter().map(Path::name).collect();
    words::list(&names, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::examples;

    fn said(change: impl Fn(&mut Experiment)) -> String {
        let mut experiment = examples::experiment();
        change(&mut experiment);
        in_words(&experiment)
    }

    #[test]
    fn nothing_noticed_is_said_only_of_what_was_asked_and_answered() {
        assert_eq!(
            said(|_| {}),
            "Callers noticed nothing: all 100 requests for backend-service/health were answered well"
        );
        assert_eq!(
            said(|e| e.availability.clear()),
            "What callers noticed was not measured"
        );
        let unasked = said(|e| {
            e.availability[0].requests = 0;
            e.availability[0].good = 0;
        });
        assert_eq!(unasked, "What callers noticed was not measured");
        let missed = said(|e| e.availability[0].missed = 7);
        assert!(!missed.contains("noticed nothing"), "{missed}");
        assert!(
            missed.ends_with("what they would have met is not known"),
            "{missed}"
        );
    }

    #[test]
    fn an_outage_has_its_length_its_bound_and_its_share() {
        let outage = |e: &mut Experiment| {
            e.availability[0].good = 88;
            e.availability[0].longest_gap_ms = 1100.0;
        };
        let text = "went 1.1 s (±100 ms) without a good answer at the longest; \
                    12 of 100 requests failed";
        assert_eq!(
            said(outage),
            format!("Callers of backend-service/health {text}")
        );
        let expected = said(|e| {
            outage(e);
            e.affected = vec!["backend-service".into()];
        });
        assert_eq!(
            expected,
            format!("As expected, callers of backend-service/health {text}")
        );
    }

    #[test]
    fn what_was_expected_to_suffer_and_did_not_is_told() {
        let text = said(|e| e.affected = vec!["backend-service/health".into()]);
        assert_eq!(
            text,
            "Expected to suffer, and did not: backend-service/health"
        );
        let other = said(|e| e.affected = vec!["backend-service/other".into()]);
        assert!(other.starts_with("Callers noticed nothing"), "{other}");
    }
}
