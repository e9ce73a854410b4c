//! Which rights there are for what the tools read of a configuration.

use std::collections::BTreeSet;

use chaos_common::cluster::permissions::{self, need, need_one};
use chaos_common::cluster::probe::{Endpoint, HttpProbe};
use chaos_common::cluster::rights::{of_custom, of_customs, to_ask, to_query};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Config;
use chaos_common::record::{Check, Permission};

mod backups;

const ID: &str = "access.rights";

/// One part of what the tools do, and what it needs.
struct Part {
    name: &'static str,
    needs: Vec<Permission>,
}

/// A check for each part: what of it may not be done.
pub(super) async fn checks(
    cluster: &Cluster,
    probe: &HttpProbe,
    (config, namespace): (&Config, &str),
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut parts = parts(probe, config, namespace);
    match of_customs(cluster, config, namespace).await {
        Ok(needs) => parts.push(Part {
            name: "custom resources",
            needs,
        }),
        Err(error) => checks.push(error.check(ID, "custom resources")),
    }
    for Part { name, needs } in parts {
        if needs.is_empty() {
            continue;
        }
        checks.push(match permissions::ask(cluster, needs).await {
            Ok(asked) => judge(name, &asked),
            Err(error) => error.check(ID, name),
        });
    }
    checks
}

/// All that the tools need which read: everything but `chaos-inject`, whose plans say what they need.
///
/// # Errors
/// A custom resource that the configuration names can't be read.
pub(super) async fn all(
    cluster: &Cluster,
    probe: &HttpProbe,
    (config, namespace): (&Config, &str),
) -> Result<Vec<Permission>, ReadError> {
    let parts = parts(probe, config, namespace).into_iter();
    let mut all: Vec<Permission> = parts.flat_map(|part| part.needs).collect();
    all.extend(of_customs(cluster, config, namespace).await?);
    // Those that nobody named are looked for.
    for kind in cluster.scalable_kinds().await? {
        all.push(need(namespace, "list", &kind.group, &kind.plural));
        let scale = format!("{}/scale", kind.plural);
        all.push(need(namespace, "get", &kind.group, &scale));
        for name in cluster.names_of(namespace, &kind).await? {
            all.extend(of_custom(cluster, namespace, &name).await?);
        }
    }
    Ok(all)
}

/// Without a right its checks are unknown, and so is the verdict.
fn judge(part: &str, asked: &[Permission]) -> Check {
    let denied: BTreeSet<String> = asked.iter().filter(|one| !one.allowed).map(words).collect();
    if denied.is_empty() {
        return Check::pass(ID, part, format!("all {} rights are held", asked.len()));
    }
    let denied: Vec<String> = denied.into_iter().collect();
    let message = format!(
        "{} of {} rights are missing: {}",
        denied.len(),
        asked.len(),
        denied.join(", ")
    );
    let hint = "have them granted, or leave the checks that need them out with health.skip";
    Check::fail(ID, part, message).hint(hint)
}

fn words(permission: &Permission) -> String {
    let Permission {
        verb,
        group,
        resource,
        namespace,
        name,
        ..
    } = permission;
    let group = if group.is_empty() {
        String::new()
    } else {
        format!(".{group}")
    };
    let name = name
        .as_ref()
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    match namespace.as_str() {
        "" => format!("{verb} {resource}{group}{name}"),
        namespace => format!("{verb} {resource}{group}{name} in namespace {namespace}"),
    }
}

fn parts(probe: &HttpProbe, config: &Config, namespace: &str) -> Vec<Part> {
    vec![
        Part {
            name: "health",
            needs: health(namespace),
        },
        Part {
            name: "Services",
            needs: to_ask_services(probe, config, namespace),
        },
        Part {
            name: "monitoring",
            needs: monitoring(probe, config),
        },
        Part {
            name: "database",
            needs: database(config, namespace),
        },
        Part {
            name: "backups",
            needs: backups::needs(config, namespace),
        },
        Part {
            name: "verification",
            needs: verification(config, namespace),
        },
    ]
}

/// What chaos-health lists.
fn health(namespace: &str) -> Vec<Permission> {
    let listed = [
        ("", "pods"),
        ("", "services"),
        ("", "events"),
        ("", "persistentvolumeclaims"),
        ("", "resourcequotas"),
        ("apps", "deployments"),
        ("apps", "statefulsets"),
        ("apps", "daemonsets"),
        ("autoscaling", "horizontalpodautoscalers"),
        ("batch", "cronjobs"),
        ("batch", "jobs"),
        ("discovery.k8s.io", "endpointslices"),
        ("metrics.k8s.io", "pods"),
        ("policy", "poddisruptionbudgets"),
    ];
    let listed = listed.map(|(group, resource)| need(namespace, "list", group, resource));
    let of_cluster = [
        need_one("", "get", "", "namespaces", namespace),
        need("", "list", "", "nodes"),
        need_one("", "get", "", "namespaces", "kube-system"),
        need("", "list", "metrics.k8s.io", "nodes"),
    ];
    listed.into_iter().chain(of_cluster).collect()
}

fn to_ask_services(probe: &HttpProbe, config: &Config, namespace: &str) -> Vec<Permission> {
    let services = config.services.iter();
    services
        .flat_map(|service| to_ask(probe, &Endpoint::of_service(service, namespace)))
        .collect()
}

fn monitoring(probe: &HttpProbe, config: &Config) -> Vec<Permission> {
    let Some(monitoring) = &config.monitoring else {
        return Vec::new();
    };
    let namespace = monitoring.namespace.as_str();
    let mut needs = Vec::new();
    for (_, system) in monitoring.systems() {
        needs.extend(to_ask(probe, &Endpoint::of_monitoring(monitoring, system)));
        if let Some(pods) = &system.workload {
            needs.push(match pods.workload() {
                Some(name) => need(namespace, "list", "apps", name.kind.resource()),
                None => need(namespace, "list", "", "pods"),
            });
        }
    }
    needs
}

fn database(config: &Config, namespace: &str) -> Vec<Permission> {
    let database = config.database.as_ref();
    database.map_or_else(Vec::new, |database| to_query(namespace, database))
}

/// What chaos-verify reads besides: the configuration's digests, and logs where they are wanted.
fn verification(config: &Config, namespace: &str) -> Vec<Permission> {
    let mut needs = vec![
        need(namespace, "list", "", "configmaps"),
        need(namespace, "list", "", "secrets"),
    ];
    if config
        .workloads
        .iter()
        .any(|workload| !workload.logs.is_empty())
    {
        needs.push(need(namespace, "get", "", "pods/log"));
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    #[test]
    fn a_right_that_is_missing_is_named_with_its_place() {
        let held = |mut permission: Permission| {
            permission.allowed = true;
            permission
        };
        let all = [held(need("shop", "list", "", "pods"))];
        assert_eq!(judge("health", &all).status, Status::Pass);
        let some = [
            held(need("shop", "list", "", "pods")),
            need("", "list", "metrics.k8s.io", "nodes"),
        ];
        let check = judge("health", &some);
        assert_eq!(check.status, Status::Fail);
        assert_eq!(
            check.message,
            "1 of 2 rights are missing: list nodes.metrics.k8s.io"
        );
    }

    #[test]
    fn a_direct_database_needs_no_right_but_that_to_its_password() {
        let of = |text: &str| {
            let config: Config = toml::from_str(text).expect("good");
            let needs = database(&config, "shop");
            needs.iter().map(words).collect::<Vec<_>>()
        };
        let direct = "[database]\nname = 'n'\nvantage = 'direct'\nhost = 'h'\n";
        assert!(of(direct).is_empty());
        let secret = format!("{direct}password = {{ secret = 'pg', key = 'pw' }}");
        assert_eq!(of(&secret), ["get secrets pg in namespace shop"]);
        let exec = of("[database]\nname = 'n'\nworkload = 'sts/db'\n");
        assert!(
            exec.contains(&"get statefulsets.apps db in namespace shop".to_owned()),
            "{exec:?}"
        );
    }
}
