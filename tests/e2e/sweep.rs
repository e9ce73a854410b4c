//! A sample of the kill sweep; `make sweep` has all of it.

use std::time::{Duration, Instant};

use chaos_tests::schedule::{Hold, Needs, Resource, Use};
use chaos_tests::sweep::disturb;
use chaos_tests::sweep::{AT_THE_FAULT, Figures, experiments, lanes, table};

/// The test beds, for as long as this is kept.
fn beds() -> Hold {
    let needs = Needs::cluster().long();
    Hold::take(
        needs
            .and(Resource::Beds, Use::Exclusive)
            .and(Resource::Policies, Use::Shared),
    )
}

/// Kills for each experiment.
const KILLS: usize = 4;

#[test]
#[ignore = "needs the cluster: make test"]
fn whoever_is_killed_at_any_call_nothing_is_left() {
    let _beds = beds();
    let until = Instant::now() + Duration::from_secs(480);
    let experiments = experiments();
    let all = lanes(&experiments, |lane| lane.sweep(KILLS, until, &mut |_| {}));
    println!("{}", table(&all));
    let kills: Vec<_> = all.iter().flat_map(Figures::kills).collect();
    assert!(
        kills.len() >= 3 * experiments.len(),
        "too few kills: {}",
        kills.len()
    );
    for kill in kills {
        assert!(kill.left.is_empty() && kill.odd.is_none(), "{kill:#?}");
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_api_server_in_a_bad_way_costs_time_and_nothing_else() {
    let _beds = beds();
    let all = lanes(&experiments(), |lane| {
        let run = lane.in_a_storm();
        // And with the tool killed in the middle of it: then the guardian has the same weather.
        (lane.experiment.clone(), run, lane.kill(AT_THE_FAULT))
    });
    for (experiment, (status, left, said), kill) in all {
        assert!(left.is_empty(), "{experiment}: {left:?}\n{said}");
        // What it could not see meanwhile may leave a verdict unknown.
        assert!(
            matches!(status, Some(0 | 3)),
            "{experiment} ended with {status:?}\n{said}"
        );
        let kill = kill.unwrap_or_else(|| panic!("{experiment} did not come to its fault"));
        assert!(
            kill.left.is_empty() && kill.odd.is_none(),
            "{experiment}: {kill:#?}"
        );
    }
}

/// One of each disturbance for each experiment.
const DISTURBANCES: usize = 3;

#[test]
#[ignore = "needs the cluster: make test"]
fn who_watches_is_disturbed_and_nothing_is_said_that_is_not_so() {
    let _beds = beds();
    let until = Instant::now() + Duration::from_secs(480);
    let all = lanes(&experiments(), |lane| {
        let runs = lane.disturb(DISTURBANCES, until, &mut |_| {});
        (lane.experiment.clone(), runs)
    });
    println!("{}", disturb::table(&all));
    for (experiment, runs) in all {
        for run in runs {
            assert!(run.wrong.is_empty(), "{experiment}: {run:#?}");
        }
    }
}
