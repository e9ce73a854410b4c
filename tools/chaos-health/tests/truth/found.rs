//! What health looks at where nobody has configured anything.

use std::time::Duration;

use chaos_common::config::Config;
use chaos_common::record::{Check, Status, Verdict};
use chaos_health::checks::{Place, examine_within};
use serde_json::json;

use crate::world::{World, alerts};
use crate::{Bed, run, told};

/// A world that tells how it is asked: the web's readiness probe, and monitoring where it usually is.
fn telling() -> World {
    let mut world = World::healthy();
    let probe = json!({ "httpGet": { "path": "/health", "port": "http" } });
    let template = &mut world.object("deployments", "web")["spec"]["template"];
    template["metadata"] = json!({ "labels": { "app": "web" } });
    template["spec"]["containers"][0]["readinessProbe"] = probe;
    template["spec"]["containers"][0]["ports"] = json!([{ "name": "http", "containerPort": 8080 }]);
    world.object("services", "web")["spec"]["ports"][0]["targetPort"] = json!("http");
    let services = world.lists.get_mut("services").expect("there");
    for (name, port) in [
        ("prometheus", 9090),
        ("grafana", 3000),
        ("alertmanager", 9093),
    ] {
        services.push(
            json!({ "metadata": { "name": name, "namespace": "monitoring" },
            "spec": { "selector": { "app": name }, "ports": [{ "port": port }] } }),
        );
    }
    for name in ["prometheus", "grafana", "alertmanager"] {
        let template = &mut world.object("deployments", name)["spec"]["template"];
        template["metadata"] = json!({ "labels": { "app": name } });
    }
    world
}

async fn look(world: World) -> Vec<Check> {
    let mut bed = Bed::new().await;
    bed.config = Config::default();
    *bed.world.lock().expect("no test panicked with it") = world;
    let place = Place {
        cluster: &bed.cluster,
        probe: &bed.asker,
        namespace: "shop",
        also: &[],
        find: true,
    };
    Box::pin(examine_within(place, &bed.config, Duration::from_secs(60)))
        .await
        .checks
}

fn one<'c>(checks: &'c [Check], id: &str) -> &'c Check {
    let found = checks.iter().find(|check| check.id == id);
    found.unwrap_or_else(|| panic!("{id}:\n{}", told(checks)))
}

#[test]
fn services_and_monitoring_are_found_and_asked() {
    run(async {
        let checks = look(telling()).await;
        assert_eq!(Verdict::of(&checks), Verdict::Pass, "{}", told(&checks));
        let http = one(&checks, "service.http");
        assert_eq!(http.object.as_deref(), Some("http://web.shop:80/health"));
        assert_eq!(http.status, Status::Pass);
        for id in [
            "monitoring.prometheus",
            "monitoring.grafana",
            "monitoring.alerts",
        ] {
            assert_eq!(one(&checks, id).status, Status::Pass, "{id}");
        }
    });
}

#[test]
fn what_is_found_and_not_open_to_us_is_a_warning_and_trouble_of_the_application_is_not() {
    run(async {
        let mut closed = telling();
        for answer in [
            "prometheus:9090/-/ready",
            "prometheus:9090/api/v1/query",
            "prometheus:9090/api/v1/alerts",
        ] {
            closed
                .answers
                .insert(answer, (401, "no".to_owned(), Duration::ZERO));
        }
        let checks = look(closed).await;
        assert_eq!(Verdict::of(&checks), Verdict::Pass, "{}", told(&checks));
        let prometheus = checks
            .iter()
            .find(|check| check.message.contains("does not accept who asks"));
        assert_eq!(prometheus.expect("it is said").status, Status::Warn);
        let mut firing = telling();
        let said = alerts(&[("Down", "critical", "firing")]);
        firing
            .answers
            .insert("prometheus:9090/api/v1/alerts", (200, said, Duration::ZERO));
        assert_eq!(
            one(&look(firing).await, "monitoring.alerts").status,
            Status::Fail
        );
        let mut broken = telling();
        broken
            .answers
            .insert("web:80/health", (500, "no".to_owned(), Duration::ZERO));
        assert_eq!(
            one(&look(broken).await, "service.http").status,
            Status::Fail
        );
    });
}

#[test]
fn a_cluster_that_tells_nothing_is_not_troubled() {
    run(async {
        let checks = look(World::healthy()).await;
        assert_eq!(Verdict::of(&checks), Verdict::Pass, "{}", told(&checks));
        assert_eq!(one(&checks, "service.http").status, Status::Skipped);
        let skipped = one(&checks, "monitoring");
        assert!(skipped.message.contains("none was found"), "{skipped:?}");
    });
}
