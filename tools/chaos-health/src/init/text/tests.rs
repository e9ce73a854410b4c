//! What is written is read back.

use std::collections::BTreeMap;

use chaos_common::config::{self, Config, HttpAccess, Monitoring, Span};
use chaos_common::record::Vantage;
use serde_json::json;

use super::*;

fn runner(name: &str, replicas: i32) -> Runner {
    Runner {
        name: name.parse().expect("a workload"),
        replicas,
        labels: BTreeMap::new(),
        pods: serde_json::from_value(json!({ "containers": [] })).expect("a spec"),
        claims: Vec::new(),
    }
}

fn system(service: &str) -> MonitoringSystem {
    MonitoringSystem {
        workload: Some("statefulset/p".parse().expect("a workload")),
        place: Place::Service {
            name: service.to_owned(),
            port: 9090,
            https: false,
            vantage: Vantage::Auto,
        },
        prefix: "/prom".to_owned(),
        access: HttpAccess::default(),
    }
}

fn draft() -> Draft {
    let mut db = runner("statefulset/db", 1);
    db.claims = vec!["data".to_owned()];
    let password = Credential::InCluster {
        secret: "pg".to_owned(),
        key: "pw".to_owned(),
        namespace: None,
    };
    let database: Database =
        toml::from_str("name = 'acme'\nworkload = 'sts/db'\nuser = 'a\"b'").expect("good");
    let service = |name: &str, asked| FoundService {
        name: name.to_owned(),
        asked,
    };
    let (port, https, path) = (80, true, "/ok".to_owned());
    Draft {
        namespace: "acme".to_owned(),
        services: vec![
            service(
                "web",
                Asked::Well {
                    port,
                    https,
                    path: path.clone(),
                },
            ),
            service(
                "api",
                Asked::Badly {
                    port,
                    https,
                    path,
                    why: "answers 500\nand more".to_owned(),
                },
            ),
            service(
                "db",
                Asked::Unknown("its pods have no readiness probe by HTTP".to_owned()),
            ),
        ],
        workloads: vec![
            runner("deployment/web", 3),
            runner("deployment/api", 1),
            runner("deployment/auto", 2),
            db,
        ],
        scaled: vec!["deployment/auto".to_owned()],
        monitoring: Some(FoundMonitoring {
            monitoring: Monitoring {
                namespace: "monitoring".to_owned(),
                alerts: None,
                prometheus: Some(system("p")),
                grafana: Some(system("g")),
                alertmanager: None,
            },
            closed: vec![("grafana", "answers 401".to_owned())],
        }),
        database: Some(FoundDatabase {
            database: Database {
                password: Some(password),
                statement_timeout: Span::seconds(60),
                ..database
            },
            tables: Ok(vec!["users".to_owned(), "\"Odd \\ name\"".to_owned()]),
        }),
        unread: vec!["cannot list pods: forbidden".to_owned()],
    }
}

fn read(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chaos.toml");
    std::fs::write(&file, text).expect("room on the disk");
    let loaded = config::load(Some(&file));
    loaded.unwrap_or_else(|why| panic!("{why}:\n{text}")).config
}

#[test]
fn what_was_found_is_read_back() {
    let config = read(&text(&draft()));
    assert_eq!(config.application.namespace.as_deref(), Some("acme"));
    let services: Vec<_> = config
        .services
        .iter()
        .map(|one| (one.name.as_str(), one.https))
        .collect();
    assert_eq!(services, [("web", true)], "the others are comments");
    let kinds: Vec<_> = config
        .workloads
        .iter()
        .map(|one| (one.kind.as_str(), one.role.as_str()))
        .collect();
    assert_eq!(kinds[3], ("StatefulSet", "database"));
    let monitoring = config.monitoring.expect("found");
    let prometheus = monitoring.prometheus.expect("found");
    assert_eq!(prometheus.prefix, "/prom");
    assert!(monitoring.grafana.is_none(), "it wants credentials");
    let database = config.database.expect("found");
    assert_eq!(database.place(), "statefulset/db");
    assert_eq!(database.user.as_deref(), Some("a\"b"));
    assert!(database.password.is_some());
    let tables: Vec<_> = database
        .tables
        .iter()
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(tables, ["users", "\"Odd \\ name\""]);
    assert_eq!(
        config.limits.namespaces.as_deref(),
        Some(&["acme".to_owned()][..])
    );
}

#[test]
fn what_could_not_be_known_is_said_in_comments() {
    let text = text(&draft());
    for words in [
        "# service/api: /ok was not answered well: answers 500\n# and more\n",
        "# service/db: its pods have no readiness probe by HTTP",
        "# it could not be asked: answers 401\n# [monitoring.grafana]",
        "# not seen: cannot list pods: forbidden",
        "# With a pod to spare: deployment/web, deployment/auto\n",
        "# With the database's volume: statefulset/db\n",
        "# An autoscaler scales deployment/auto",
        "# Backups can't be seen from here",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn an_empty_namespace_gives_a_file_that_can_be_read() {
    let empty = Draft {
        namespace: "empty".to_owned(),
        ..Draft::default()
    };
    let config = read(&text(&empty));
    assert!(config.services.is_empty() && config.monitoring.is_none() && config.database.is_none());
}

#[test]
fn every_comment_that_is_a_table_can_be_read_when_it_is_uncommented() {
    let empty = Draft {
        namespace: "empty".to_owned(),
        ..Draft::default()
    };
    let key = |line: &str| {
        line.starts_with('[')
            || line
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.contains(' '))
    };
    let plain = text(&empty);
    let lines = plain.lines().map(|line| match line.strip_prefix("# ") {
        Some(inner) if key(inner) => inner,
        _ => line,
    });
    let config = read(&lines.collect::<Vec<_>>().join("\n"));
    assert_eq!(config.backups.len(), 2);
    assert!(config.monitoring.is_some() && config.database.is_some());
}
