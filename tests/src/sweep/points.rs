//! The points at which somebody can be killed in a run.

use super::proxy::{Call, Moment};

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Victim {
    /// The tool: the guardian has to undo.
    Tool,
    /// The guardian: the tool has to.
    Guardian,
    /// Both: `recover` has to.
    Both,
    /// The tool, and then its guardian while it undoes: `recover` has to.
    Successor,
}

impl Victim {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Victim::Tool => "tool",
            Victim::Guardian => "guardian",
            Victim::Both => "both",
            Victim::Successor => "tool, then guardian",
        }
    }
}

/// One kill that is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub(super) victim: Victim,
    /// At this call of the tool, from 1; for the successor, at this one of the guardian since the
    /// tool's death.
    pub(super) number: usize,
    pub(super) moment: Moment,
    /// For the successor: the call of the tool at which the tool dies.
    pub(super) first: usize,
    /// Only writes that are about no Lease count.
    pub(super) faults: bool,
}

/// The tool dies when its fault's first write has been made.
pub const AT_THE_FAULT: Point = Point {
    victim: Victim::Tool,
    number: 1,
    moment: Moment::After,
    first: 0,
    faults: true,
};

/// Calls that a guardian which takes over is killed at.
const TAKEOVER: usize = 8;

/// All points at which somebody can be killed in a run that makes these calls.
pub(super) fn points(calls: &[Call]) -> Vec<Point> {
    let mut points = Vec::new();
    for (n, call) in calls.iter().enumerate() {
        let at = |victim, moment| Point {
            victim,
            number: n + 1,
            moment,
            first: 0,
            faults: false,
        };
        points.extend([
            at(Victim::Tool, Moment::Before),
            at(Victim::Tool, Moment::After),
        ]);
        if call.writes() {
            points.push(at(Victim::Tool, Moment::Late));
        }
        if call.guarded {
            points.push(at(Victim::Guardian, Moment::Before));
            points.push(at(
                Victim::Both,
                if call.writes() {
                    Moment::After
                } else {
                    Moment::Before
                },
            ));
        }
    }
    // The last write of the fault comes before the first one of the undo: the first half of those
    // that are about no Lease; of a fault that only takes something, there is no undo.
    let writes: Vec<usize> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.writes() && !call.of_lease())
        .map(|(n, _)| n + 1)
        .collect();
    if let Some(first) = writes
        .get(writes.len().div_ceil(2).saturating_sub(1))
        .copied()
    {
        for number in 1..=TAKEOVER {
            let at = |moment| Point {
                victim: Victim::Successor,
                number,
                moment,
                first,
                faults: false,
            };
            points.extend([at(Moment::Before), at(Moment::After)]);
        }
    }
    points
}

/// So many of them, evenly spread; each several times if there are fewer.
pub(super) fn spread(points: &[Point], kills: usize) -> Vec<Point> {
    (0..kills)
        .map(|n| {
            let round = n / points.len();
            let rest = (kills - round * points.len()).min(points.len());
            points[((n % points.len()) * points.len() + points.len() / 2) / rest]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_spread_over_all_points() {
        let point = |number| Point {
            victim: Victim::Tool,
            number,
            moment: Moment::Before,
            first: 0,
            faults: false,
        };
        let all: Vec<Point> = (1..=10).map(point).collect();
        let numbers = |kills| {
            spread(&all, kills)
                .iter()
                .map(|point| point.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(5), [2, 4, 6, 8, 10]);
        assert_eq!(numbers(10), (1..=10).collect::<Vec<_>>());
        assert_eq!(numbers(12)[10..], [3, 8]);
    }
}
