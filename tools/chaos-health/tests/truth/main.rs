//! The truth of health: every way to be broken is found and named rightly, and none of the healthy
//! variants raises an alarm. Each case changes a healthy world in one way.

mod bad_http;
mod broken;
mod change;
mod deadline;
mod found;
#[path = "../../../../common/tests/free_port/mod.rs"]
mod free_port;
mod healthy;
mod monitoring;
mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Access, Cluster};
use chaos_common::config::{self, Config};
use chaos_common::record::{Check, Health, Status, Verdict};
use chaos_health::checks::{CATALOGUE, Explanation, Place, examine, examine_within};
use futures::stream::{self, StreamExt};
use serde_json::json;

use broken::BROKEN;
use change::crashed;
use healthy::HEALTHY;
use world::{World, serve};

const CONFIG: &str = r#"
[application]
namespace = "shop"
[[service]]
name = "web"
port = 80
health = "/health"
[service.expect]
body = "ok"
[[workload]]
name = "web"
[[workload]]
name = "db"
kind = "StatefulSet"
[monitoring]
namespace = "monitoring"
prometheus = { deployment = "prometheus", service = "prometheus", port = 9090 }
grafana = { deployment = "grafana", service = "grafana", port = 3000 }
alertmanager = { deployment = "alertmanager", service = "alertmanager", port = 9093 }
"#;

/// An API server whose world may be exchanged, and who asks it.
pub(crate) struct Bed {
    world: Arc<Mutex<World>>,
    cluster: Cluster,
    asker: HttpProbe,
    pub(crate) config: Config,
}

impl Bed {
    pub(crate) async fn new() -> Bed {
        let world = Arc::new(Mutex::new(World::healthy()));
        let server = serve(world.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}], "users": [{"name": "u", "user": {"token": "t"}}]});
        std::fs::write(&kubeconfig, text.to_string()).expect("room on the disk");
        let file = folder.path().join("chaos.toml");
        std::fs::write(&file, CONFIG).expect("room on the disk");
        let access = Access {
            context: None,
            kubeconfig: Some(kubeconfig),
            ..Access::default()
        };
        let cluster = Cluster::connect(&access).await.expect("a kubeconfig");
        let asker = HttpProbe::new(&cluster);
        Bed {
            world,
            cluster,
            asker,
            config: config::load(Some(&file)).expect("a configuration").config,
        }
    }

    /// What health says of a world. A machine that is busy for seconds lets this very process answer
    /// too late, which says nothing of the world: then it looks again, some times.
    pub(crate) async fn examine(&self, world: World) -> Health {
        for _ in 0..5 {
            let health = self.examine_once(world.clone()).await;
            if !health.checks.iter().any(|check| is_late(check, &world)) {
                return health;
            }
        }
        self.examine_once(world).await
    }

    async fn examine_once(&self, world: World) -> Health {
        *self.world.lock().expect("no test panicked with it") = world;
        Box::pin(examine(&self.cluster, &self.asker, &self.config, "shop")).await
    }

    /// The same until a deadline.
    pub(crate) async fn examine_within(&self, world: World, deadline: Duration) -> Health {
        *self.world.lock().expect("no test panicked with it") = world;
        let place = Place {
            cluster: &self.cluster,
            probe: &self.asker,
            namespace: "shop",
            also: &[],
            find: false,
        };
        Box::pin(examine_within(place, &self.config, deadline)).await
    }
}

/// It failed for want of an answer of this world in time; those of `url` come from other servers.
fn is_late(check: &Check, world: &World) -> bool {
    const API_SERVER: &str = "the API server did not answer in";
    const LATE: [&str; 3] = ["no answer in", "did not answer in", "no answer before"];
    let words = match (world.stalls(), world.is_slow()) {
        (true, _) => &[][..],
        (false, true) => &[API_SERVER],
        (false, false) => &LATE,
    };
    let late = words.iter().any(|words| check.message.contains(words));
    check.is_bad() && !check.id.starts_with("url.") && late
}

fn told(checks: &[Check]) -> String {
    checks
        .iter()
        .filter(|check| !matches!(check.status, Status::Pass | Status::Skipped))
        .map(|check| {
            format!(
                "  {:?} {} {:?}: {}\n",
                check.status, check.id, check.object, check.message
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

/// Runs on one thread and its timer, as the tools do.
pub fn run(future: impl Future<Output = ()>) {
    chaos_common::cli::block_on(future);
}

/// So many worlds are looked at at a time: much of it is waiting.
const BEDS: usize = 6;

/// What health says of the healthy world after each of these changes, in their order.
async fn all(changes: Vec<fn(&mut World)>) -> Vec<Vec<Check>> {
    let looks = changes.into_iter().map(|change| async move {
        let bed = Bed::new().await;
        let mut world = World::healthy();
        change(&mut world);
        bed.examine(world).await.checks
    });
    stream::iter(looks).buffered(BEDS).collect().await
}

#[test]
fn every_way_to_be_broken_is_found_and_named() {
    assert!(BROKEN.len() >= 120, "{}", BROKEN.len());
    run(async {
        let mut missed = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let looks = all(BROKEN.iter().map(|broken| broken.0).collect()).await;
        for (at, ((_, id, object, status, words), checks)) in BROKEN.iter().zip(looks).enumerate() {
            seen.extend(checks.iter().map(|check| check.id.clone()));
            let found = checks.iter().any(|check| {
                check.id == *id
                    && check.status == *status
                    && check.object.as_deref().unwrap_or_default().contains(object)
                    && check.message.contains(words)
            });
            let passes = Verdict::of(&checks) == Verdict::Pass;
            if !found || passes == matches!(status, Status::Fail | Status::Unknown) {
                missed.push(format!(
                    "{at}: {status:?} {id} {object}: {words}\nbut:\n{}",
                    told(&checks)
                ));
            }
        }
        assert!(missed.is_empty(), "{}", missed.concat());
        for id in seen {
            assert!(Explanation::of(&id).is_some(), "{id} has no explanation");
        }
        println!("{} ways to be broken, all found", BROKEN.len());
    });
}

#[test]
fn healthy_variants_raise_no_alarm() {
    assert!(HEALTHY.len() >= 60, "{}", HEALTHY.len());
    run(async {
        let mut alarms = Vec::new();
        let looks = all(HEALTHY.iter().map(|healthy| healthy.1).collect()).await;
        for ((name, _, may_warn), checks) in HEALTHY.iter().zip(looks) {
            let alarm = checks.iter().any(|check| {
                check.is_bad()
                    || (check.status == Status::Warn && !may_warn.contains(&check.id.as_str()))
            });
            if alarm || Verdict::of(&checks) != Verdict::Pass {
                alarms.push(format!("{name}:\n{}", told(&checks)));
            }
        }
        assert!(alarms.is_empty(), "{}", alarms.concat());
        println!("{} healthy variants, no alarm", HEALTHY.len());
    });
}

#[test]
fn an_answer_that_is_too_slow_fails() {
    run(async {
        let mut bed = Bed::new().await;
        bed.config.services[0].expect.within = Some(chaos_common::config::Span::milliseconds(100));
        let mut world = World::healthy();
        let answer = world.answers.get_mut("web:80/health").expect("there");
        answer.2 = Duration::from_millis(300);
        let checks = bed.examine(world).await.checks;
        let slow = checks.iter().find(|check| check.id == "service.http");
        let slow = slow.expect("it was made");
        assert_eq!(slow.status, Status::Fail, "{slow:?}");
        assert!(slow.message.contains("at most 100ms is wanted"), "{slow:?}");
    });
}

#[test]
fn what_is_left_out_is_not_asked_and_says_so() {
    run(async {
        let mut bed = Bed::new().await;
        bed.config.health.skip = CATALOGUE
            .iter()
            .filter(|c| c.may_be_skipped())
            .map(|c| c.id.to_owned())
            .collect();
        let mut world = World::healthy();
        world.lists.get_mut("pods").expect("there").clear();
        let checks = bed.examine(world).await.checks;
        let done: Vec<_> = checks
            .iter()
            .filter(|check| check.status != Status::Skipped)
            .map(|c| c.id.as_str())
            .collect();
        assert_eq!(done, ["cluster.reachable", "namespace.exists"]);
        assert_eq!(checks.len(), CATALOGUE.len());
    });
}

#[test]
fn clocks_that_differ_are_told_and_ages_count_by_the_clusters() {
    run(async {
        let bed = Bed::new().await;
        for (clock, side) in [(-3600, "ahead of"), (3600, "behind")] {
            let world = |finished: i64| {
                let mut world = World::healthy();
                world.clock = clock;
                // Ready again after a crash, by the cluster's clock so many seconds ago.
                let container = world
                    .object("pods", "web-1")
                    .pointer_mut("/status/containerStatuses/0");
                let container = container.expect("it has one");
                for (key, value) in crashed(4, finished - clock, "Error", 1)
                    .as_object()
                    .expect("fields")
                {
                    container[key] = value.clone();
                }
                world
            };
            let checks = bed.examine(world(30)).await.checks;
            let crash = checks
                .iter()
                .find(|check| check.id == "pods.ready" && check.status == Status::Fail);
            assert!(
                crash.is_some_and(|check| check.message.contains("crash loop")),
                "{}",
                told(&checks)
            );
            let told_of = checks
                .iter()
                .find(|check| check.id == "cluster.clock")
                .expect("it was made");
            assert_eq!(told_of.status, Status::Warn);
            // The API server tells whole seconds, and its answer takes its time.
            let seconds = told_of.message.split(" s ").next().and_then(|words| {
                let number = words.rsplit(' ').next()?;
                number.parse::<u32>().ok()
            });
            assert!(
                seconds.is_some_and(|seconds| seconds.abs_diff(3600) <= 60)
                    && told_of.message.contains(&format!(" s {side} the API")),
                "{told_of:?}"
            );
            let checks = bed.examine(world(1200)).await.checks;
            assert!(
                checks
                    .iter()
                    .all(|check| check.id != "pods.ready" || check.status == Status::Pass),
                "{}",
                told(&checks)
            );
        }
    });
}

#[test]
fn a_service_of_https_is_asked_so_through_the_api_server() {
    run(async {
        let mut bed = Bed::new().await;
        bed.config.services[0].https = true;
        let of = |checks: &[Check]| {
            checks
                .iter()
                .find(|check| check.id == "service.http")
                .cloned()
                .expect("it was made")
        };
        assert_eq!(
            of(&bed.examine(World::healthy()).await.checks).status,
            Status::Fail
        );
        let mut world = World::healthy();
        let good = world.answers["web:80/health"].clone();
        world.answers.insert("https:web:80/health", good);
        let check = of(&bed.examine(world).await.checks);
        assert_eq!(
            (check.status, check.object.as_deref()),
            (Status::Pass, Some("https://web.shop:80/health")),
            "{check:?}"
        );
    });
}
