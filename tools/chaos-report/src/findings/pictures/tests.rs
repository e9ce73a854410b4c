use chaos_common::record::{AnswerWindow, EventKind, Outcome};

use super::pictures;
use super::timeline::slot;
use crate::findings::examples::{self, event_after};

fn window(from_ms: i64, requests: u64, good: u64) -> AnswerWindow {
    AnswerWindow {
        from_ms,
        length_ms: 1000,
        requests,
        good,
        missed: 10 - requests,
        p50_ms: (good > 0).then_some(4.0),
        max_ms: (good > 0).then_some(9.0),
    }
}

#[test]
fn what_could_not_be_asked_is_no_answer() {
    let shares = |requests, good| {
        let slot = slot(&window(0, requests, good));
        (slot.good, slot.unknown)
    };
    assert_eq!(shares(10, 5), (0.5, 0.0));
    assert_eq!(shares(5, 5), (0.5, 0.5));
    assert_eq!(shares(0, 0), (0.0, 1.0));
}

#[test]
fn a_fault_that_stays_ends_with_its_undo_and_one_that_is_not_restored_has_no_end() {
    let mut run = examples::run();
    run.plan().hold_ms = 30_000;
    run.events.push(event_after(EventKind::Undo, 2000.0));
    let found = pictures(&examples::read(&run)).timeline.expect("there");
    let ends: Vec<_> = found
        .phases
        .iter()
        .map(|phase| (phase.name, phase.to_ms))
        .collect();
    assert_eq!(
        ends,
        [
            ("fault on", Some(2000.0)),
            ("until the steady state", Some(5000.0))
        ]
    );
    run.experiment().outcome = Outcome::NotRestored;
    run.experiment().restored = None;
    let found = pictures(&examples::read(&run)).timeline.expect("there");
    let ends: Vec<_> = found
        .phases
        .iter()
        .map(|phase| (phase.name, phase.to_ms))
        .collect();
    assert_eq!(ends, [("fault on", None)]);
}

#[test]
fn the_axis_holds_all_that_is_drawn() {
    let run = examples::changed(|run| {
        let seen = &mut run.experiment().availability[0];
        seen.windows = vec![window(-3000, 10, 10), window(14_000, 10, 10)];
    });
    let pictures = pictures(&run);
    let timeline = pictures.timeline.expect("there");
    assert_eq!((timeline.from_ms, timeline.to_ms), (-3000.0, 15_000.0));
    let latency = pictures.latency.expect("there");
    assert_eq!((latency.from_ms, latency.to_ms), (-2500.0, 14_500.0));
}

#[test]
fn a_run_without_a_fault_has_nothing_to_draw_but_the_nodes() {
    let run = examples::changed(|run| {
        let data = run.experiment();
        data.outcome = Outcome::Refused;
        (data.injected, data.restored) = (None, None);
    });
    let pictures = pictures(&run);
    assert!(pictures.timeline.is_none() && pictures.recovery.is_none());
    assert!(pictures.usage.is_some());
}
