#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "small whole numbers"
)]

use super::*;

use super::guard::check_guard;
use super::series::share_within;
use crate::abort::AbortSignal;
use crate::observe::questions::tests::question;
use crate::testing::ApiServer;
use chaos_common::record::Status;

#[test]
fn a_guard_that_could_never_judge_is_a_usage_error() {
    let settings = |text: &str| serde_json::from_str(text).expect("settings");
    let checked = |text: &str| check_guard(&settings(text));
    assert!(checked("{}").is_ok());
    let few = checked(r#"{"guard_window": "2s", "probe_interval": "300ms"}"#);
    let error = few.expect_err("7 probes");
    assert_eq!(error.exit, chaos_common::exit::Exit::Usage);
    assert!(error.message.contains("experiment.guard_window"));
    assert!(checked(r#"{"guard_window": "3s", "probe_interval": "300ms"}"#).is_ok());
    let off = r#"{"guard_window": "2s", "probe_interval": "300ms", "guard_percent": 0}"#;
    assert!(checked(off).is_ok());
}

fn series(text: &str) -> Vec<Sample> {
    let answer = |c| match c {
        '+' => Answer::Good(5.0),
        '-' => Answer::Bad("refused".into()),
        _ => Answer::Missed("busy".into()),
    };
    text.chars()
        .enumerate()
        .map(|(n, c)| Sample {
            due_ms: n as f64 * 100.0,
            answer: answer(c),
        })
        .collect()
}

fn summary(text: &str) -> Availability {
    let asked = Asked {
        service: "shop".into(),
        path: "/health".into(),
        vantage: "direct".into(),
        interval: Duration::from_millis(100),
    };
    summarize(&asked, &series(text))
}

#[test]
fn the_longest_gap_is_between_good_answers() {
    assert_eq!(summary("++++").longest_gap_ms, 0.0);
    assert_eq!(summary("++-++").longest_gap_ms, 100.0);
    assert_eq!(summary("+-+---++-+").longest_gap_ms, 300.0);
    assert_eq!(summary("++---").longest_gap_ms, 300.0);
    assert_eq!(summary("+o+").longest_gap_ms, 0.0);
}

#[test]
fn the_guard_looks_at_the_latest_answers_and_not_at_what_was_not_asked() {
    let share = |text: &str| share_within(&series(text), 1000.0, 100.0, 10);
    assert_eq!(share("---"), None);
    assert_eq!(share("----------++++++++++"), Some(100.0));
    assert_eq!(share("++++++++++----------"), Some(0.0));
    assert_eq!(share("+++++++++++++++-----"), Some(50.0));
    assert_eq!(share("++++++++++oooooooooo"), None);
}

#[test]
fn a_second_of_silence_weighs_the_same_whenever_it_comes() {
    let share = |text: &str| share_within(&series(text), 2000.0, 100.0, 10);
    let silence = "-".repeat(10);
    assert_eq!(share(&silence), Some(50.0));
    assert_eq!(share(&format!("+++++{silence}")), Some(50.0));
    assert_eq!(share(&format!("{}{silence}", "+".repeat(30))), Some(50.0));
    assert_eq!(share(&"-".repeat(20)), Some(0.0));
}

fn judged(seen: &Availability, min_percent: f64) -> Check {
    judge_seen("x", "service/shop".to_owned(), seen, min_percent)
}

#[test]
fn what_could_not_be_asked_is_not_evidence() {
    let seen = summary("++o++-++++");
    assert_eq!((seen.requests, seen.good, seen.missed), (9, 8, 1));
    assert_eq!(judged(&seen, 80.0).status, Status::Pass);
    assert_eq!(judged(&seen, 99.0).status, Status::Fail);
    assert_eq!(judged(&summary("+ooo"), 99.0).status, Status::Unknown);
    assert_eq!(judged(&summary("ooo"), 0.0).status, Status::Unknown);
    assert_eq!(judged(&summary(""), 99.0).status, Status::Unknown);
}

#[test]
fn whatever_the_answers_would_have_been_the_verdict_would_be_the_same() {
    // Two of eight could not be asked: between 62.5 and 87.5 % answered well.
    let seen = summary("++o++-o+");
    assert_eq!((seen.good, seen.requests, seen.missed), (5, 6, 2));
    assert_eq!(judged(&seen, 62.5).status, Status::Pass);
    assert_eq!(judged(&seen, 63.0).status, Status::Unknown);
    assert_eq!(judged(&seen, 87.5).status, Status::Unknown);
    assert_eq!(judged(&seen, 88.0).status, Status::Fail);
    let message = judged(&seen, 30.0).message;
    assert!(
        message.ends_with("2 of 8 questions could not be asked"),
        "{message}"
    );
}

/// A guarded Service, asked ten times a second through the API server.
async fn guarded(server: &ApiServer, seconds: u64) -> (Option<String>, ServiceObservation) {
    let (signal, abort) = AbortSignal::new();
    let guard = Guard {
        alarm: signal,
        percent: 90.0,
        window: Duration::from_secs(5),
    };
    let probe = Probe::start(
        question(server, "/health"),
        Duration::from_secs(1),
        Some(guard),
    );
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let reason = crate::abort::reason(&abort);
    (reason, probe.stop().await)
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_answering_aborts_the_experiment_within_its_window() {
    let server = ApiServer::default();
    server.answer("shop", 500, "");
    let (reason, seen) = guarded(&server, 5).await;
    let reason = reason.expect("aborted");
    assert!(
        reason.starts_with("steady state guard: service/shop"),
        "{reason}"
    );
    assert_eq!(seen.availability.good, 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_answers_aborts_nothing() {
    let server = ApiServer::default();
    server.answer("shop", 200, "ok");
    let (reason, seen) = guarded(&server, 20).await;
    assert_eq!(reason, None);
    assert_eq!(seen.availability.percent, 100.0);
    assert!(seen.availability.requests > 150, "{:?}", seen.availability);
}
