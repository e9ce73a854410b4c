//! The configuration as it is written: what was found, and comments on what could not be known.

use std::fmt::Write as _;

use chaos_common::config::{Credential, Database, MonitoringSystem, Place};
use chaos_common::record::{PodSource, WorkloadKind};
use chaos_health::discovery::Runner;

use super::draft::{Asked, Draft, FoundDatabase, FoundMonitoring, FoundService};

/// The whole file; pure. What stands in it uncommented was found and, where that is possible, tried.
pub(super) fn text(draft: &Draft) -> String {
    let parts = [
        head(draft),
        services(&draft.services),
        workloads(draft),
        monitoring(draft.monitoring.as_ref()),
        database(draft.database.as_ref()),
        BACKUPS.to_owned(),
        limits(&draft.namespace),
        experiments(draft),
        REST.to_owned(),
    ];
    parts.join("\n")
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// The lines of a text as a comment.
fn commented(text: &str) -> String {
    text.lines()
        .fold(String::new(), |all, line| all + "# " + line + "\n")
}

fn head(draft: &Draft) -> String {
    let namespace = quoted(&draft.namespace);
    let mut text = format!(
        "# chaos.toml as chaos-health init found it in namespace {}: what stands here was seen, what is a comment\n\
         # could not be known. chaos-health access says what of it can be reached, and with which rights.\n\n\
         [application]\nname = {namespace}\nnamespace = {namespace}\n",
        draft.namespace
    );
    for why in &draft.unread {
        let _ = writeln!(text, "# not seen: {}", why.replace('\n', " "));
    }
    text
}

fn services(services: &[FoundService]) -> String {
    let mut text = "# Services, and how each is asked: by the readiness probes of their pods. A better path is one that\n\
                    # your users take. Answers that are data (JSON) are compared before and after: data = [\"/api/users\"]\n"
        .to_owned();
    if services.is_empty() {
        text.push_str("# [[service]]\n# name = \"web\"\n# port = 80\n# health = \"/health\"\n");
    }
    for FoundService { name, asked } in services {
        let part = match asked {
            Asked::Well { port, https, path } => format!(
                "[[service]]\nname = {}\nport = {port}\n{}health = {path}\ntimed = [{path}]\n",
                quoted(name),
                if *https { "https = true\n" } else { "" },
                path = quoted(path),
            ),
            Asked::Badly {
                port,
                https,
                path,
                why,
            } => {
                let table = format!(
                    "service/{name}: {path} was not answered well: {why}\n[[service]]\nname = {}\nport = {port}\n\
                     {}health = {}",
                    quoted(name),
                    if *https { "https = true\n" } else { "" },
                    quoted(path)
                );
                commented(&table)
            }
            Asked::Unknown(why) => commented(&format!("service/{name}: {why}")),
        };
        text.push_str(&part);
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

fn workloads(draft: &Draft) -> String {
    let mut text = "# Workloads that must be there, and what each is for. logs = true has their logs searched for ERROR\n\
                    # lines after an experiment.\n"
        .to_owned();
    for runner in &draft.workloads {
        if runner.replicas == 0 && kind(runner) != Some(WorkloadKind::DaemonSet) {
            let _ = writeln!(text, "# {} is scaled to 0\n", runner.name);
            continue;
        }
        let _ = writeln!(
            text,
            "[[workload]]\nname = {}",
            quoted(&runner.name.to_string())
        );
        if draft.is_database(runner) {
            text.push_str("role = \"database\"\n");
        }
        let claims = claims(runner);
        if !claims.is_empty() {
            let _ = writeln!(text, "# keeps data in: {}", claims.join(", "));
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
}

/// Its kind, where it is one of Kubernetes' own.
fn kind(runner: &Runner) -> Option<WorkloadKind> {
    runner.name.workload().map(|name| name.kind)
}

/// Claims that its pods mount.
fn claims(runner: &Runner) -> Vec<String> {
    let volumes = runner.pods.volumes.iter().flatten();
    let named = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
    let named = named.map(|claim| claim.claim_name.clone());
    named.chain(runner.claims.iter().cloned()).collect()
}

fn monitoring(found: Option<&FoundMonitoring>) -> String {
    let head = "# Monitoring. Each system by its Service, or by url = \"https://…\"; credentials as token, or as user and\n\
                # password, headers for tenants. Alerts count that are of the namespace, or of none; which do can be\n\
                # said in [monitoring] by matchers: alerts = ['namespace=~\"a|b\"']\n";
    let Some(FoundMonitoring { monitoring, closed }) = found else {
        return format!(
            "{head}# None was found in the usual namespaces.\n# [monitoring]\n# namespace = \"monitoring\"\n\
             # [monitoring.prometheus]\n# workload = \"statefulset/prometheus\"\n# service = \"prometheus\"\n# port = 9090\n"
        );
    };
    let mut text = format!(
        "{head}[monitoring]\nnamespace = {}\n",
        quoted(&monitoring.namespace)
    );
    for (name, system) in monitoring.systems() {
        let table = system_table(name, system);
        match closed.iter().find(|(one, _)| *one == name) {
            None => {
                let _ = write!(text, "\n{table}");
            }
            Some((_, why)) => {
                let why = format!(
                    "it could not be asked: {why}\n{table}user = \"NAME\"\n\
                     password = {{ secret = \"SECRET\", key = \"KEY\" }}"
                );
                let _ = write!(text, "\n{}", commented(&why));
            }
        }
    }
    text
}

fn system_table(name: &str, system: &MonitoringSystem) -> String {
    let mut text = format!("[monitoring.{name}]\n");
    if let Some(workload) = &system.workload {
        let _ = writeln!(text, "workload = {}", quoted(&workload.to_string()));
    }
    match &system.place {
        Place::Service {
            name, port, https, ..
        } => {
            let _ = writeln!(text, "service = {}\nport = {port}", quoted(name));
            if *https {
                text.push_str("https = true\n");
            }
        }
        Place::Host { host, port, https } => {
            let scheme = if *https { "https" } else { "http" };
            let _ = writeln!(
                text,
                "url = {}",
                quoted(&format!("{scheme}://{host}:{port}"))
            );
        }
    }
    if !system.prefix.is_empty() {
        let _ = writeln!(text, "path = {}", quoted(&system.prefix));
    }
    text
}

fn database(found: Option<&FoundDatabase>) -> String {
    let head = "# The database (PostgreSQL), asked by psql in its pod; or vantage = \"port-forward\" or \"direct\".\n";
    let Some(FoundDatabase { database, tables }) = found else {
        return format!(
            "{head}# None was found. One outside of the cluster:\n# [database]\n# vantage = \"direct\"\n\
             # host = \"db.example.com\"\n# name = \"shop\"\n# user = \"shop\"\n# password = {{ env = \"PGPASSWORD\" }}\n\
             # tables = [\"users\"]\n"
        );
    };
    let table = database_table(database);
    match tables {
        Err(why) => {
            let told = format!("it could not be asked: {why}\n{table}tables = []");
            head.to_owned() + &commented(&told)
        }
        Ok(tables) => format!(
            "{head}{table}# Rows of these tables that were there before must be there afterwards, as they were. Take out those\n\
             # whose rows change by themselves, or name the columns: {{ name = \"t\", may_change = [\"seen\"] }}\n\
             tables = {}\n",
            list(tables)
        ),
    }
}

fn database_table(database: &Database) -> String {
    let mut text = "[database]\n".to_owned();
    let workload = database.workload.as_ref().map(PodSource::to_string);
    let keys = [
        ("workload", workload.as_ref()),
        ("container", database.container.as_ref()),
        ("name", Some(&database.name)),
        ("user", database.user.as_ref()),
    ];
    for (key, value) in keys {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {}", quoted(value));
        }
    }
    if let Some(Credential::InCluster { secret, key, .. }) = &database.password {
        let (secret, key) = (quoted(secret), quoted(key));
        let _ = writeln!(text, "password = {{ secret = {secret}, key = {key} }}");
    }
    text
}

const BACKUPS: &str = "\
# Backups can't be seen from here. A dump in a pod, and one in object storage:
# [[backup]]
# name = \"database\"
# kind = \"postgres\"
# path = \"/backup/latest.dump\"
# pod = \"deployment/backup-store\"
# max_age = \"24h\"
# [[backup]]
# name = \"offsite\"
# kind = \"postgres\"
# path = \"s3://backups/database/\"
# max_age = \"24h\"
";

fn limits(namespace: &str) -> String {
    format!(
        "[limits]\nnamespaces = [{}] # experiments touch no other\nmax_share_percent = 50.0 # of its ready pods, at most\n",
        quoted(namespace)
    )
}

/// What experiments could hit. Which there are is chaos-inject's business.
fn experiments(draft: &Draft) -> String {
    let spare = |runner: &&Runner| {
        kind(runner) == Some(WorkloadKind::Deployment)
            && runner.replicas > 1
            && !draft.is_database(runner)
    };
    let spare = draft.workloads.iter().filter(spare);
    let spare: Vec<String> = spare.map(|runner| runner.name.to_string()).collect();
    let mut text = "# What experiments hit is said by flag (chaos-inject plan EXPERIMENT --workload deployment/web) or in a\n\
                    # table [experiment.NAME]; chaos-inject experiments lists them.\n"
        .to_owned();
    let named = match spare.as_slice() {
        [] => "# No Deployment has a pod to spare.\n".to_owned(),
        some => format!("# With a pod to spare: {}\n", some.join(", ")),
    };
    text.push_str(&named);
    let stored = |runner: &&Runner| draft.is_database(runner) && !claims(runner).is_empty();
    for runner in draft.workloads.iter().filter(stored) {
        let _ = writeln!(text, "# With the database's volume: {}", runner.name);
    }
    for name in &draft.scaled {
        let _ = writeln!(
            text,
            "# An autoscaler scales {name}, and takes back what others set."
        );
    }
    text
}

const REST: &str = "\
# Messages, each channel that is there:
# [notify.mail]
# host = \"smtp.example.com\"
# from = \"chaos@example.com\"
# team = [\"team@example.com\"]
# [notify.slack]
# webhook = { env = \"SLACK_WEBHOOK_URL\" }

[report]
archive = \"experiment-reports\"
";

#[cfg(test)]
mod tests;
