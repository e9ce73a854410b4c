//! Which runs have shown no sign of life for too long, as somebody sees it who watches all the
//! while: by the renewals that are observed and by one's own clock, never by the time that a Lease
//! holds. So does the leader election of Kubernetes' own components.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::safety::active_runs::Renewals;

/// A run whose Leases are not renewed for so long, while we look, is dead. It is long enough for a
/// runner that is cut off for five seconds, and renews every two.
pub const LIMIT: Duration = Duration::from_secs(12);
/// Whoever could not look for so long begins anew: what kept us from looking may have kept the
/// runner from renewing.
const BLIND: Duration = Duration::from_secs(6);

/// What was seen so far.
#[derive(Debug, Default)]
pub struct SignsOfLife {
    /// The latest renewals of each run, and when they were first seen.
    seen: BTreeMap<String, (Renewals, Instant)>,
    looked: Option<Instant>,
}

impl SignsOfLife {
    /// Takes in a look, which was begun and answered at these times. Gives the runs that are dead.
    pub fn look(
        &mut self,
        (begun, answered): (Instant, Instant),
        renewals: &BTreeMap<String, Renewals>,
    ) -> Vec<String> {
        let blind = self
            .looked
            .is_none_or(|last| answered.duration_since(last) > BLIND);
        if blind {
            self.seen.clear();
        }
        self.looked = Some(answered);
        self.seen.retain(|run, _| renewals.contains_key(run));
        for (run, now) in renewals {
            let known = self.seen.get(run);
            if known.is_none_or(|(before, _)| before != now) {
                // It may have been renewed at any time up to the answer.
                self.seen.insert(run.clone(), (now.clone(), answered));
            }
        }
        let is_dead = |since: Instant| begun.saturating_duration_since(since) >= LIMIT;
        let dead = self.seen.iter().filter(|(_, (_, since))| is_dead(*since));
        dead.map(|(run, _)| run.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Time;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    /// A watcher, and the second of its clock.
    struct Watcher {
        signs: SignsOfLife,
        start: Instant,
    }

    impl Watcher {
        fn new() -> Watcher {
            let (signs, start) = (SignsOfLife::default(), Instant::now());
            Watcher { signs, start }
        }

        /// Looks at that second, for so long, at a run whose Lease holds this renewal.
        fn look(&mut self, second: u64, took: u64, renewal: &str) -> Vec<String> {
            let time: Time = serde_json::from_value(renewal.into()).expect("a time");
            let renewals = [("run-1".to_owned(), vec![Some(MicroTime(time.0))])].into();
            let begun = self.start + Duration::from_secs(second);
            let answered = begun + Duration::from_secs(took);
            self.signs.look((begun, answered), &renewals)
        }
    }

    /// A clock of a year ago, and one of next year.
    const CLOCKS: [&str; 2] = ["2025-11-22T16:00:00Z", "2027-11-22T16:00:00Z"];

    #[test]
    fn a_run_is_dead_after_the_limit_whatever_its_clock_says() {
        for clock in CLOCKS {
            let mut watcher = Watcher::new();
            for second in 0..12 {
                assert_eq!(watcher.look(second, 0, clock), [""; 0], "{second}");
            }
            assert_eq!(watcher.look(12, 0, clock), ["run-1"]);
        }
    }

    #[test]
    fn a_renewal_counts_also_one_that_goes_back_in_time() {
        let mut watcher = Watcher::new();
        for second in 0..60 {
            let clock = CLOCKS[usize::from(second % 20 < 10)];
            assert_eq!(watcher.look(second, 0, clock), [""; 0], "{second}");
        }
    }

    #[test]
    fn whoever_could_not_look_begins_anew() {
        let mut watcher = Watcher::new();
        for second in 0..11 {
            watcher.look(second, 0, CLOCKS[0]);
        }
        // The API server was away for eight seconds, to the runner as well.
        for second in 18..30 {
            let dead = watcher.look(second, 0, CLOCKS[0]);
            assert_eq!(dead, [""; 0], "{second}");
        }
        assert_eq!(watcher.look(30, 0, CLOCKS[0]), ["run-1"]);
    }

    #[test]
    fn the_time_of_a_slow_answer_does_not_count_against_a_run() {
        let mut watcher = Watcher::new();
        for second in [0, 4, 8] {
            assert_eq!(watcher.look(second, 3, CLOCKS[0]), [""; 0]);
        }
        // It was seen first at 3: what was asked for at 12 is nine seconds later, and no more.
        assert_eq!(watcher.look(12, 3, CLOCKS[0]), [""; 0]);
        assert_eq!(watcher.look(16, 3, CLOCKS[0]), ["run-1"]);
    }
}
