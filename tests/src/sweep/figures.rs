//! The sweep's figures: leftovers, and how long the undo took.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::lane::Kill;
use super::points::Victim;
use super::proxy::{Call, Who};

/// How long the undo took from the kill on, in milliseconds; absent where nothing was undone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Undo {
    /// To the sending of its last write.
    pub last_write: Option<f64>,
    /// The same without the time that the cluster took to answer the calls before.
    pub own: Option<f64>,
    /// To the sending of the last deletion of a Lease, for a run without its tool.
    pub free: Option<f64>,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The undo of a run whose `victim` was killed, from the calls that the survivor made.
pub(super) fn undo(calls: &[Call], victim: Victim, killed: Instant) -> Undo {
    let survivor = match victim {
        Victim::Tool => Who::Guardian,
        Victim::Guardian => Who::Tool,
        Victim::Both | Victim::Successor => return Undo::default(),
    };
    let after: Vec<&Call> = calls
        .iter()
        .filter(|call| call.who == survivor && call.at >= killed)
        .collect();
    let last = after
        .iter()
        .filter(|call| call.wrote() && !call.of_lease())
        .map(|call| call.at)
        .max();
    let leases = after
        .iter()
        .filter(|call| call.wrote() && call.of_lease() && call.method == "DELETE");
    let free = leases
        .map(|call| call.at)
        .max()
        .filter(|_| victim == Victim::Tool);
    let own = last.map(|last| {
        let served: Vec<(Instant, Instant)> =
            after.iter().filter_map(|call| call.served()).collect();
        ms(last
            .duration_since(killed)
            .saturating_sub(covered(served, last)))
    });
    Undo {
        last_write: last.map(|last| ms(last.duration_since(killed))),
        own,
        free: free.map(|free| ms(free.duration_since(killed))),
    }
}

/// Time up to `end` that is covered by at least one of the spans.
fn covered(mut spans: Vec<(Instant, Instant)>, end: Instant) -> Duration {
    spans.sort();
    let mut covered = Duration::ZERO;
    let mut reached = None;
    for (from, to) in spans {
        let from = reached.map_or(from, |reached| from.max(reached));
        let to = to.min(end);
        if to > from {
            covered += to.duration_since(from);
            reached = Some(to);
        }
    }
    covered
}

/// The figures of an experiment.
#[derive(Debug)]
pub struct Figures {
    experiment: String,
    calls: usize,
    kills: Vec<Kill>,
    /// Points that a run did not come to.
    pub missed: usize,
}

impl Figures {
    pub(super) fn new(experiment: &str, calls: usize) -> Figures {
        Figures {
            experiment: experiment.to_owned(),
            calls,
            kills: Vec::new(),
            missed: 0,
        }
    }

    pub(super) fn add(&mut self, kill: Kill) {
        self.kills.push(kill);
    }

    /// The kills.
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// Kills after which something was left.
    pub fn leftovers(&self) -> usize {
        self.kills
            .iter()
            .filter(|kill| !kill.left.is_empty())
            .count()
    }

    /// What was wrong in other ways.
    pub fn odd(&self) -> usize {
        self.kills.iter().filter(|kill| kill.odd.is_some()).count()
    }
}

fn median_and_worst(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match (values.get(values.len() / 2), values.last()) {
        (Some(median), Some(worst)) => format!("{median:7.0} {worst:7.0}"),
        _ => format!("{:>7} {:>7}", "-", "-"),
    }
}

/// The table of a sweep.
pub fn table(all: &[Figures]) -> String {
    let mut text = String::from(
        "                            kills of                      left  from SIGKILL to the undo's last write, ms   target free
experiment           calls  tool guardian  both  then  all  over  own: median   worst  all: median   worst  median   worst
",
    );
    let mut line = |name: &str, calls: usize, kills: &[&Kill]| {
        let of = |victim| {
            kills
                .iter()
                .filter(|kill| kill.point.victim == victim)
                .count()
        };
        let values = |pick: fn(&Kill) -> Option<f64>| {
            median_and_worst(kills.iter().filter_map(|kill| pick(kill)).collect())
        };
        let left = kills.iter().filter(|kill| !kill.left.is_empty()).count();
        let _ = writeln!(
            text,
            "{name:<20} {calls:>5} {:>5} {:>8} {:>5} {:>5} {:>4} {left:>5}      {}      {} {}",
            of(Victim::Tool),
            of(Victim::Guardian),
            of(Victim::Both),
            of(Victim::Successor),
            kills.len(),
            values(|kill| kill.undo.own),
            values(|kill| kill.undo.last_write),
            values(|kill| kill.undo.free),
        );
    };
    for one in all {
        line(
            &one.experiment,
            one.calls,
            &one.kills.iter().collect::<Vec<_>>(),
        );
    }
    line(
        "all",
        all.iter().map(|one| one.calls).sum(),
        &all.iter().flat_map(|one| &one.kills).collect::<Vec<_>>(),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_of_the_cluster_is_counted_once_and_only_up_to_the_last_write() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(
            covered(
                vec![(at(0), at(10)), (at(5), at(12)), (at(20), at(50))],
                at(30)
            ),
            Duration::from_millis(22)
        );
    }

    fn call(who: Who, method: &str, path: &str, at: Instant, status: u16) -> Call {
        let answered = Some(at + Duration::from_millis(10));
        Call {
            who,
            method: method.into(),
            path: path.into(),
            at,
            answered,
            status: Some(status),
            guarded: true,
        }
    }

    #[test]
    fn the_last_write_is_the_survivors_and_was_accepted() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let calls = [
            call(
                Who::Tool,
                "PATCH",
                "/apis/apps/v1/deployments/x",
                at(5),
                200,
            ),
            call(
                Who::Guardian,
                "GET",
                "/apis/apps/v1/deployments/x",
                at(20),
                200,
            ),
            call(
                Who::Guardian,
                "PATCH",
                "/apis/apps/v1/deployments/x",
                at(40),
                200,
            ),
            call(
                Who::Guardian,
                "PATCH",
                "/apis/apps/v1/deployments/x",
                at(60),
                409,
            ),
            call(
                Who::Guardian,
                "DELETE",
                "/apis/coordination.k8s.io/v1/leases/x",
                at(80),
                200,
            ),
        ];
        let undo = undo(&calls, Victim::Tool, at(10));
        assert_eq!(undo.last_write, Some(30.0));
        assert_eq!(undo.own, Some(20.0));
        assert_eq!(undo.free, Some(70.0));
    }
}
