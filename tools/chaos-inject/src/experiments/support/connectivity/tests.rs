use super::*;
use crate::experiments::support::peer::tests::{PodsInMemory, routes};
use crate::testing::test_bed::TestBed;

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_control_route_passes_without_a_miss_and_fails_when_it_is_cut() {
    let judged = |text: &str| stayed_open(&text.chars().map(|c| c == '+').collect::<Vec<_>>());
    assert_eq!(judged("+++"), Status::Pass);
    assert_eq!(judged("++"), Status::Unknown);
    assert_eq!(judged("++-++--+"), Status::Unknown);
    assert_eq!(judged("++---+++"), Status::Fail);
    assert_eq!(judged("--"), Status::Unknown);
}

/// The route is cut for these pods, or is open again.
fn partition(peers: &PodsInMemory, pods: &[&str], cut: bool) {
    for pod in pods {
        peers.cut(pod, 0, cut);
    }
}

/// A route that is seen to be cut, since a moment.
async fn cut(peers: &PodsInMemory, pods: &[&str]) -> (ConnectivityProof, Instant) {
    let proof = ConnectivityProof::start("deployment/front", routes(peers)).await;
    let mut proof = proof.expect("both are open");
    partition(peers, pods, true);
    let since = Instant::now();
    let effect = proof.await_cut(since).await;
    assert!(matches!(effect, Effect::Proven(_)), "{effect:?}");
    (proof, since)
}

/// The statuses of `cut`, `control` and `reconnected`.
fn statuses(proof: &ConnectivityProof, since: Instant) -> [Status; 3] {
    let checks = proof.judge("x", since);
    let statuses: Vec<Status> = checks.iter().map(|check| check.status).collect();
    statuses.try_into().expect("three")
}

#[tokio::test(start_paused = true)]
async fn a_peer_pod_that_goes_while_the_fault_is_on_breaks_nothing() {
    let context = TestBed::with([]).context();
    let peers = PodsInMemory::of(&["a", "b"]);
    let (mut proof, since) = cut(&peers, &["a", "b"]).await;
    peers.delete("a");
    sleep(Duration::from_secs(10)).await;
    proof.check_still_cut(since);
    partition(&peers, &["b"], false);
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    assert_eq!(recovery, Recovery::SteadyState);
    assert_eq!(statuses(&proof, since), [Status::Pass; 3]);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_second_breaks_nothing() {
    let context = TestBed::with([]).context();
    let peers = PodsInMemory::of(&["a"]);
    let (mut proof, since) = cut(&peers, &["a"]).await;
    peers.close(true);
    sleep(Duration::from_secs(1)).await;
    peers.close(false);
    sleep(Duration::from_secs(5)).await;
    proof.check_still_cut(since);
    partition(&peers, &["a"], false);
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    assert_eq!(recovery, Recovery::SteadyState);
    assert_eq!(statuses(&proof, since), [Status::Pass; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_saw_for_long_is_no_proof_of_a_cut() {
    let peers = PodsInMemory::of(&["a"]);
    let (mut proof, since) = cut(&peers, &["a"]).await;
    peers.close(true);
    sleep(Duration::from_secs(20)).await;
    proof.check_still_cut(since);
    assert_eq!(statuses(&proof, since)[0], Status::Unknown);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_ask_any_more_it_is_not_said_to_be_cut() {
    let context = TestBed::with([]).context();
    let peers = PodsInMemory::of(&["a"]);
    let (mut proof, since) = cut(&peers, &["a"]).await;
    proof.check_still_cut(since);
    peers.close(true);
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    let Recovery::Unseen(why) = recovery else {
        panic!("nobody looked: {recovery:?}")
    };
    assert!(why.contains("nobody is there"), "{why}");
    assert_eq!(statuses(&proof, since)[2], Status::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_pod_with_troubles_of_its_own_is_left_for_another() {
    let context = TestBed::with([]).context();
    let peers = PodsInMemory::of(&["a", "b"]);
    let (mut proof, _) = cut(&peers, &["a", "b"]).await;
    partition(&peers, &["b"], false);
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    assert_eq!(recovery, Recovery::SteadyState);
    // Where there is no other, the silence of the control route says that it is the pod's own.
    let peers = PodsInMemory::of(&["a"]);
    let (mut proof, _) = cut(&peers, &["a"]).await;
    peers.cut("a", 1, true);
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    assert!(matches!(recovery, Recovery::Unseen(_)), "{recovery:?}");
}

#[tokio::test(start_paused = true)]
async fn a_route_that_stays_cut_beside_an_open_one_is_not_recovered() {
    let context = TestBed::with([]).context();
    let peers = PodsInMemory::of(&["a", "b"]);
    let (mut proof, since) = cut(&peers, &["a", "b"]).await;
    let recovery = proof.await_open(&context, Instant::now(), LIMIT).await;
    let not_recovered = matches!(recovery, Recovery::NotRecovered { .. });
    assert!(not_recovered, "{recovery:?}");
    assert_eq!(statuses(&proof, since)[2], Status::Fail);
}
