//! The judgement of pairs of measurements that are made up, with a fixed seed.

use std::time::Duration;

use chaos_common::record::Time;
use jiff::{SignedDuration, Timestamp};

use super::super::load::figures::{Label, timing};
use super::super::load::{Counts, LoadPlan, LoadResult, Measured, RequestError};
use super::super::significance::random::Random;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Windows of a second, as many as a record has, and requests in each, enough for p99.
const WINDOWS: u64 = 60;
const EACH: u64 = 50;
/// Those of the pairs of which there are hundreds.
const FEW: (u64, u64) = (30, 20);

/// A request that is due: which one, whether it fails, and its time in milliseconds.
type Answer<'a> = &'a mut dyn FnMut(u64) -> Result<u64, RequestError>;

fn measure((windows, each): (u64, u64), answer: Answer) -> Counts {
    let mut counts = Counts::new(SECOND, usize::try_from(windows).expect("few"));
    for number in 0..windows * each {
        let due = SECOND * u32::try_from(number).expect("few") / u32::try_from(each).expect("few");
        let (time, outcome) = match answer(number) {
            Ok(ms) => (Duration::from_millis(ms), Ok(())),
            Err(error) => (Duration::from_millis(1), Err(error)),
        };
        counts.count(due, due + time, outcome);
    }
    counts
}

fn failure() -> RequestError {
    RequestError::Target("answers 500".to_owned())
}

/// Ordinary times: a dozen different ones, the long ones rare.
fn ordinary(random: &mut Random) -> u64 {
    let draw = random.next_u64() % 1000;
    [500, 300, 100, 60, 25, 10, 5]
        .iter()
        .scan(0, |sum, share| {
            *sum += share;
            Some(*sum)
        })
        .position(|sum| draw < sum)
        .map_or(90, |at| 20 + 10 * at as u64)
}

fn series(counts: &Counts) -> Series {
    Series::new(&counts.windows)
}

fn settings() -> Performance {
    Performance::default()
}

fn margins() -> Margins {
    Margins::from_settings(&settings())
}

const NO_FAULT: Lateness = Lateness::after(None, 60.0);

#[test]
fn an_outage_in_any_share_of_a_measurement_never_passes() {
    let all = FEW.0 * FEW.1;
    let mut random = Random::new(13);
    let befores: Vec<Series> = (0..200)
        .map(|_| series(&measure(FEW, &mut |_| Ok(ordinary(&mut random)))))
        .collect();
    for percent in [2, 5, 10, 25, 50, 70, 95] {
        let long = all * percent / 100;
        for (pair, before) in befores.iter().enumerate() {
            let start = random.next_u64() % (all - long + 1);
            let after = series(&measure(FEW, &mut |number| {
                if (start..start + long).contains(&number) {
                    Err(failure())
                } else {
                    Ok(ordinary(&mut random))
                }
            }));
            let judged = significance::failures(Some(before), &after, margins()).status;
            assert_ne!(judged, Status::Pass, "{percent} % from request {start} on");
            if percent >= 5 {
                assert_eq!(judged, Status::Fail, "{percent} % from request {start} on");
            }
            // The whole decision is slow to draw, and holds this one in any case.
            if pair % 100 == 0 {
                let whole =
                    Decision::of(before, &after, margins(), Lateness::after(Some(0.0), 60.0));
                assert_ne!(whole.status, Status::Pass, "{percent} % from {start} on");
            }
        }
    }
}

#[test]
fn where_nothing_changed_nothing_fails() {
    let mut random = Random::new(7);
    for pair in 0..200 {
        let mut one = || series(&measure((FEW.0, 40), &mut |_| Ok(ordinary(&mut random))));
        let (before, after) = (one(), one());
        let decision = Decision::of(&before, &after, margins(), NO_FAULT);
        assert_ne!(
            decision.status,
            Status::Fail,
            "{pair}: {:?}",
            decision.tests
        );
    }
}

/// The measurement as a record; `late` is how late requests left.
fn recorded(mut counts: Counts, late: Duration) -> Timing {
    for _ in 0..100 {
        counts.late(late);
    }
    let plan = LoadPlan {
        duration: SECOND * u32::try_from(counts.windows.len()).expect("few"),
        ..LoadPlan::from_profile(&chaos_common::config::LoadProfile::default(), Vec::new())
    };
    let label = Label {
        service: "shop",
        path: "/",
        vantage: "direct",
        profile: Some("normal"),
    };
    let result = LoadResult {
        counts,
        steps: None,
    };
    let measured = Measured {
        started: Time::now(),
        results: Vec::new(),
        interrupted: None,
    };
    timing(label, &plan, &measured, &result)
}

fn on_time(windows: u64, answer: Answer) -> Timing {
    recorded(measure((windows, EACH), answer), Duration::ZERO)
}

/// The experiment that ended so many seconds before now.
fn ended_ago(seconds: i64) -> Record<Experiment> {
    let at = Time(Timestamp::now() - SignedDuration::from_secs(seconds));
    serde_json::from_value(serde_json::json!({
        "schema": "chaos.experiment/1", "id": "1", "run": "r", "time": at, "tool": "t",
        "verdict": "pass", "summary": "", "data": {
            "experiment": "pod-failure", "outcome": "completed", "namespace": "shop",
            "executor": "e", "targets": [], "started": at, "ended": at, "duration_ms": 1,
            "checks": [], "recoveries": [], "availability": [], "actions": [], "issues": [],
        },
    }))
    .expect("an experiment")
}

#[track_caller]
fn judge(before: Option<&Timing>, now: &Timing, ended: Option<i64>) -> Vec<(Status, String)> {
    let experiment = ended.map(ended_ago);
    compare(before, now, &settings(), experiment.as_ref())
        .checks
        .into_iter()
        .map(|check| (check.status, check.message))
        .collect()
}

#[test]
fn failures_of_the_first_part_are_not_forgotten() {
    let before = on_time(WINDOWS, &mut |_| Ok(20));
    for percent in [25, 50, 70] {
        let now = on_time(WINDOWS, &mut |number| {
            if number < WINDOWS * EACH * percent / 100 {
                Err(failure())
            } else {
                Ok(20)
            }
        });
        let judged = judge(Some(&before), &now, Some(1));
        assert_eq!(judged[0].0, Status::Fail, "{percent}: {judged:?}");
    }
}

#[test]
fn slowness_is_excused_for_the_configured_time_after_the_fault_and_no_longer() {
    let before = on_time(WINDOWS, &mut |_| Ok(20));
    // Slow for twenty seconds.
    let now = on_time(WINDOWS, &mut |number| {
        Ok(if number < 20 * EACH { 400 } else { 20 })
    });
    let judged = judge(Some(&before), &now, Some(5));
    assert_eq!(judged[0].0, Status::Pass, "{judged:?}");
    assert!(judged[0].1.contains("judged from 20.0 s on"), "{judged:?}");
    assert_eq!(judged[1].0, Status::Pass, "{judged:?}");
    // 50 s and 20 s are more than the 60 s that are allowed; without a fault nothing is.
    let late = judge(Some(&before), &now, Some(50));
    assert_ne!(late[0].0, Status::Pass, "{late:?}");
    assert_eq!(late[1].0, Status::Fail, "{late:?}");
    let alone = judge(Some(&before), &now, None);
    assert_ne!(alone[0].0, Status::Pass, "{alone:?}");
}

#[test]
fn a_return_is_told_only_where_the_rest_proves_it() {
    let before = on_time(WINDOWS, &mut |_| Ok(20));
    // As before at first, and slow from half a minute on.
    let now = on_time(WINDOWS, &mut |number| {
        Ok(if number < 30 * EACH { 20 } else { 400 })
    });
    let judged = judge(Some(&before), &now, Some(1));
    assert_ne!(judged[0].0, Status::Pass, "{judged:?}");
    assert_eq!(judged[1].0, Status::Fail, "{judged:?}");
    assert!(judged[1].1.contains("not so for the rest"), "{judged:?}");
}

#[test]
fn two_windows_are_too_few_to_tell_since_when_and_failures_count_all_the_same() {
    let before = on_time(2, &mut |_| Ok(20));
    let good = judge(Some(&before), &on_time(2, &mut |_| Ok(20)), Some(1));
    assert_eq!(
        good.iter().map(|(status, _)| *status).collect::<Vec<_>>(),
        [Status::Unknown, Status::Unknown],
        "{good:?}"
    );
    let half = on_time(2, &mut |number| {
        if number.is_multiple_of(2) {
            Ok(20)
        } else {
            Err(failure())
        }
    });
    let judged = judge(Some(&before), &half, Some(1));
    assert_eq!(judged[0].0, Status::Fail, "{judged:?}");
}

#[test]
fn half_of_the_answers_failing_fails_also_where_the_generator_was_late() {
    let mut half = |number: u64| {
        if number.is_multiple_of(2) {
            Ok(20)
        } else {
            Err(failure())
        }
    };
    let late = recorded(
        measure((WINDOWS, EACH), &mut half),
        Duration::from_millis(50),
    );
    assert!(
        late.load
            .as_ref()
            .is_some_and(|load| load.saturated.is_some())
    );
    let before = on_time(WINDOWS, &mut |_| Ok(20));
    // Whatever there is to compare with.
    for was in [Some(&before), Some(&recorded_late(&mut |_| Ok(20))), None] {
        let judged = judge(was, &late, Some(1));
        assert_eq!(judged[0].0, Status::Fail, "{judged:?}");
        assert!(judged[0].1.contains("errors 0.00 -> 50.00 %"), "{judged:?}");
    }
    assert_eq!(
        load_check::check("load.url", "u", &late, 1.0).status,
        Status::Fail
    );
    // Without failures a late generator says nothing.
    let judged = judge(Some(&before), &recorded_late(&mut |_| Ok(20)), Some(1));
    assert_eq!(judged[0].0, Status::Unknown, "{judged:?}");
}

fn recorded_late(answer: Answer) -> Timing {
    recorded(measure((WINDOWS, EACH), answer), Duration::from_millis(50))
}
