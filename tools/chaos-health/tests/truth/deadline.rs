//! A look ends at its deadline, whatever does not answer; what was waiting is unknown and named.

use std::time::{Duration, Instant};

use chaos_common::config::Url;
use chaos_common::record::{Status, Verdict};

use crate::world::World;
use crate::{Bed, run};

/// What does not answer, and a check that can't be made then.
const STALLED: [(&str, &str, &str); 6] = [
    ("/pods?", "pods.ready", "cannot list pods in namespace shop"),
    ("/nodes?", "node.conditions", "cannot list nodes"),
    (
        "services/web:80",
        "service.http",
        "cannot ask http://web.shop:80",
    ),
    (
        "services/prometheus:9090",
        "monitoring.alerts",
        "cannot ask",
    ),
    (
        "metrics.k8s.io",
        "pods.usage",
        "the use of pods in namespace shop",
    ),
    (
        "/",
        "cluster.reachable",
        "cannot read the cluster's identity",
    ),
];

#[test]
fn a_look_ends_at_its_deadline_and_names_what_was_waiting() {
    run(async {
        let bed = Bed::new().await;
        for (part, id, words) in STALLED {
            let mut world = World::healthy();
            world.stalled.push(part);
            let start = Instant::now();
            let checks = bed
                .examine_within(world, Duration::from_secs(1))
                .await
                .checks;
            // It answers after a minute.
            assert!(start.elapsed() < Duration::from_secs(20), "{part}");
            let check = checks
                .iter()
                .find(|c| c.id == id && c.message.contains(words));
            let check = check.unwrap_or_else(|| panic!("no {id} for {part} in {checks:?}"));
            assert_eq!(check.status, Status::Unknown, "{check:?}");
            // The metrics API has half of the time.
            assert!(
                check.message.contains("no answer before the deadline of"),
                "{check:?}"
            );
            assert_eq!(Verdict::of(&checks), Verdict::Unknown, "{part}");
        }
    });
}

#[test]
fn urls_that_never_answer_are_cut_at_the_deadline() {
    run(async {
        let mut bed = Bed::new().await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one");
        // More than are asked at a time, so that some are not asked at all.
        bed.config.urls = (0..40)
            .map(|at| Url {
                url: format!("http://{address}/{at}"),
                expect: chaos_common::config::Expectation::default(),
                ca: None,
            })
            .collect();
        let start = Instant::now();
        let health = bed
            .examine_within(World::healthy(), Duration::from_secs(1))
            .await;
        assert!(start.elapsed() < Duration::from_secs(20));
        let cut = health.checks.iter().filter(|check| {
            check.id == "url.http"
                && check.status == Status::Unknown
                && check.message.ends_with("before the deadline of 1s")
        });
        assert_eq!(cut.count(), 40);
    });
}
