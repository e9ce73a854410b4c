//! The kill sweep: `chaos-inject`, its guardian, or both are killed at every API call that they
//! make, and afterwards nothing may be left. And [`disturb`]: who watches is disturbed; and [`watched`]:
//! a watcher is all that is left.

mod bed;
pub mod disturb;
mod figures;
mod lane;
mod link;
mod points;
mod proxy;
mod snapshot;
pub mod watched;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use figures::{Figures, Undo, table};
pub use lane::{Kill, Lane, MONITORING_DATA};
pub use points::{AT_THE_FAULT, Point, Victim};

use crate::run::Place;

/// Lanes at the same time, so that one works while others wait for their pods; more would only wait
/// for the processor, until what the tool looks at no longer answers in time.
const AT_ONCE: usize = 3;

/// The names of all experiments, by the tool.
pub fn experiments() -> Vec<String> {
    let listed = Place::new().tool("chaos-inject", &["experiments"]).exits(0);
    let name = |line: &str| {
        let one: Value = serde_json::from_str(line).expect("JSON");
        one["name"].as_str().expect("it has a name").to_owned()
    };
    listed.stdout().lines().map(name).collect()
}

/// What `make sweep` and `make disturb` are told: how often, until when, and which experiments; all
/// that there are if none is named.
///
/// # Panics
/// A number is none.
pub fn told(often: usize, minutes: u64) -> (usize, Instant, Vec<String>) {
    let mut args = std::env::args().skip(1);
    let often = args
        .next()
        .map_or(often, |text| text.parse().expect("a number"));
    let minutes = args
        .next()
        .map_or(minutes, |text| text.parse().expect("a number of minutes"));
    let named: Vec<String> = args.collect();
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let mut experiments = experiments();
    experiments.retain(|one| named.is_empty() || named.contains(one));
    (often, until, experiments)
}

/// Does the same with each of these experiments, in a few beds at a time; gives what came of it, in
/// their order.
///
/// # Panics
/// The work with one did; the other beds are brought to their end first.
pub fn lanes<T: Send>(experiments: &[String], work: impl Fn(&Lane) -> T + Sync) -> Vec<T> {
    let waiting = Mutex::new(experiments.iter().enumerate());
    let worker = |bed: usize| {
        let mut done = Vec::new();
        let mut lane = Lane::new(bed);
        loop {
            let next = waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next();
            let Some((n, experiment)) = next else {
                bed::remove(&lane.cluster, bed);
                return done;
            };
            lane.experiment.clone_from(experiment);
            done.push((n, work(&lane)));
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let worker = &worker;
        let workers: Vec<_> = (1..=AT_ONCE)
            .map(|bed| scope.spawn(move || worker(bed)))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a lane comes to its end"))
            .collect()
    });
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, one)| one).collect()
}

/// How many kills each experiment gets of all.
pub fn shares(experiments: &[String], kills: usize) -> BTreeMap<&str, usize> {
    let count = experiments.len();
    experiments
        .iter()
        .enumerate()
        .map(|(n, name)| (name.as_str(), (kills + count - 1 - n) / count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_experiment_has_its_share_of_the_kills() {
        let experiments = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(shares(&experiments, 7).values().sum::<usize>(), 7);
    }
}
