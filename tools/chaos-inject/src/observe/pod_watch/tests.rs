use super::*;

use crate::testing::objects::{NAMESPACE, pod as object, replica_set};
use crate::testing::{ApiServer, Behaviour};

fn pod(ready: bool, leaving: bool) -> Brief {
    Brief {
        name: "p".into(),
        owner: None,
        ready,
        leaving,
        phase: "Running".into(),
        trouble: None,
        restarts: 0,
    }
}

#[test]
fn settled_is_neither_too_few_nor_too_many_nor_half_way() {
    let pods = |list: &[(bool, bool)]| -> Pods {
        list.iter()
            .enumerate()
            .map(|(n, (ready, leaving))| (n.to_string(), pod(*ready, *leaving)))
            .collect()
    };
    assert!(settled(&pods(&[(true, false), (true, false)]), 2));
    assert!(!settled(&pods(&[(true, false)]), 2));
    assert!(!settled(&pods(&[(true, false), (false, false)]), 2));
    assert!(!settled(
        &pods(&[(true, false), (true, false), (true, true)]),
        2
    ));
}

async fn watched(objects: Vec<serde_json::Value>) -> (ApiServer, PodWatch) {
    let server = ApiServer::with([replica_set("shop")]);
    for object in objects {
        server.add(object);
    }
    let watch = PodWatch::start(&server.cluster(), NAMESPACE, "app=shop").await;
    (server, watch.expect("watched"))
}

#[tokio::test(start_paused = true)]
async fn only_pods_of_the_selector_are_watched() {
    let (server, mut watch) = watched(vec![object("a", "shop", true)]).await;
    server.add(object("x", "db", true));
    server.add(object("b", "shop", true));
    let deadline = Instant::now() + Duration::from_secs(5);
    let pods = watch.until(deadline, |pods| settled(pods, 2)).await;
    assert_eq!(pods.expect("two").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_pods_are_given_as_they_are() {
    let (_server, mut watch) = watched(vec![object("a", "shop", false)]).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    let pods = watch.until(deadline, |pods| settled(pods, 1)).await;
    assert_eq!(
        in_words(&pods.expect_err("not ready")),
        "pod a is not ready"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_that_may_not_be_watched_are_an_error() {
    let server = ApiServer::default();
    server.always("GET pods", Behaviour::Status(403));
    let watch = PodWatch::start(&server.cluster(), NAMESPACE, "app=shop").await;
    assert!(watch.is_err());
}

#[tokio::test(start_paused = true)]
async fn ready_pods_are_counted_over_all_pages() {
    let server = ApiServer::with([replica_set("shop")]);
    for n in 0..250 {
        server.add(object(&format!("pod-{n:03}"), "shop", n % 2 == 0));
    }
    let ready = count_ready(&server.cluster(), NAMESPACE).await;
    assert_eq!(ready.expect("counted"), 125);
}

fn in_five_seconds() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[tokio::test(start_paused = true)]
async fn what_went_while_the_watch_was_away_is_gone_when_it_is_back() {
    for forget in [false, true] {
        let pods = vec![object("a", "shop", true), object("b", "shop", true)];
        let (server, mut watch) = watched(pods).await;
        server.script("GET pods", 3, Behaviour::Status(500));
        server.break_watches(false);
        server.remove("pod/a");
        server.break_watches(forget);
        let pods = watch
            .until(in_five_seconds(), |pods| settled(pods, 1))
            .await;
        let pods = pods.unwrap_or_else(|pods| panic!("{forget}: {pods:?}"));
        assert_eq!(in_words(&pods), "pod b is ready");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_not_seen_now_are_no_evidence_of_anything() {
    let (server, mut watch) = watched(vec![object("a", "shop", true)]).await;
    server.always("GET pods", Behaviour::Status(500));
    server.break_watches(false);
    sleep(PATIENCE).await;
    let pods = watch
        .until(in_five_seconds(), |pods| settled(pods, 1))
        .await;
    assert_eq!(in_words(&pods.expect_err("not seen")), "pod a is ready");
    assert!(watch.broken().is_some());
    server.mend();
    let pods = watch
        .until(in_five_seconds(), |pods| settled(pods, 1))
        .await;
    pods.expect("seen again, though nothing has changed");
    assert_eq!(watch.broken(), None);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_made_anew_under_its_name_is_another_one() {
    let (server, mut watch) = watched(vec![object("a", "shop", true)]).await;
    let before = watch.now();
    server.remove("pod/a");
    let mut anew = object("a", "shop", true);
    anew["metadata"]["uid"] = "another".into();
    server.add(anew);
    let other = |pods: &Pods| pods.contains_key("another");
    let pods = watch.until(in_five_seconds(), other).await.expect("seen");
    assert_eq!(pods.len(), 1);
    assert!(before.keys().all(|uid| !pods.contains_key(uid)));
}

#[test]
fn what_keeps_a_pod_from_being_ready_is_told_in_words() {
    let told = |status: serde_json::Value| {
        let mut pod = object("a", "shop", false);
        pod["status"] = status;
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        in_words(&[("u".to_owned(), brief(&slim(pod), &Family::default()))].into())
    };
    let waiting = serde_json::json!({ "containerStatuses": [{
        "name": "main", "ready": false, "restartCount": 4, "image": "i", "imageID": "i",
        "state": { "waiting": { "reason": "CrashLoopBackOff" } },
    }] });
    assert_eq!(told(waiting), "pod a is not ready (CrashLoopBackOff)");
    let unscheduled = serde_json::json!({ "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "no node has room",
    }] });
    let words = "pod a is not ready (Unschedulable: no node has room)";
    assert_eq!(told(unscheduled), words);
    let evicted = serde_json::json!({ "phase": "Failed", "reason": "Evicted" });
    assert_eq!(told(evicted), "pod a is not ready (Evicted)");
    assert_eq!(in_words(&Pods::new()), "there is no pod");
}
