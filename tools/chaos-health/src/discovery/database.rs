//! A PostgreSQL among the workloads, and how its image was told to begin.
//! Sources: the documentation of the images `postgres` and `bitnami/postgresql`.

use chaos_common::config::{Credential, Database, DatabaseVantage, Span};

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};

use super::{Inventory, Runner};

/// Words in the names of images that run PostgreSQL.
const IMAGES: [&str; 5] = ["postgres", "postgis", "timescale", "pgvector", "spilo"];
/// Words in the names of images beside it.
const BESIDES: [&str; 4] = ["exporter", "operator", "pgbouncer", "pooler"];
const USERS: [&str; 3] = ["POSTGRES_USER", "POSTGRESQL_USERNAME", "PGUSER"];
const NAMES: [&str; 3] = ["POSTGRES_DB", "POSTGRESQL_DATABASE", "PGDATABASE"];
const PASSWORDS: [&str; 3] = ["POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD", "PGPASSWORD"];
const FILES: [&str; 2] = ["POSTGRES_PASSWORD_FILE", "POSTGRESQL_PASSWORD_FILE"];
/// What PostgreSQL's superuser is called where nothing is said.
const SUPERUSER: &str = "postgres";

/// The first workload that runs PostgreSQL, as a database to be asked by psql in its pod; pure. User,
/// name and password are those that its image was told to begin with.
pub fn find(inventory: &Inventory) -> Option<Database> {
    let found = |runner| Some((runner, server(runner)?));
    let (runner, container): (&Runner, &Container) = inventory.runners.iter().find_map(found)?;
    let user = value(container, &USERS).unwrap_or_else(|| SUPERUSER.to_owned());
    let default = runner.pods.containers.first().map(|one| &one.name);
    Some(Database {
        vantage: DatabaseVantage::Exec,
        workload: Some(runner.name.clone()),
        container: (default != Some(&container.name)).then(|| container.name.clone()),
        host: None,
        port: 5432,
        // The images take the user's name where none is given.
        name: value(container, &NAMES).unwrap_or_else(|| user.clone()),
        user: Some(user),
        password: password(container, &runner.pods),
        tls: None,
        ca: None,
        identity: None,
        statement_timeout: Span::seconds(60),
        tables: Vec::new(),
    })
}

fn server(runner: &Runner) -> Option<&Container> {
    let runs = |container: &&Container| {
        let image = container
            .image
            .as_deref()
            .unwrap_or_default()
            .to_lowercase();
        let image = image.rsplit('/').next().unwrap_or_default();
        let told = variable(container, &PASSWORDS).or_else(|| variable(container, &FILES));
        let named = IMAGES.iter().any(|word| image.contains(word));
        let beside = BESIDES.iter().any(|word| image.contains(word));
        (named || variable(container, &["PGDATA"]).is_some() || told.is_some() && serves(container))
            && !beside
    };
    runner.pods.containers.iter().find(runs)
}

/// Whether it listens where PostgreSQL does.
fn serves(container: &Container) -> bool {
    let mut ports = container.ports.iter().flatten();
    ports.any(|port| port.container_port == 5432)
}

fn variable<'c>(container: &'c Container, names: &[&str]) -> Option<&'c EnvVar> {
    let mut all = container.env.iter().flatten();
    all.find(|one| names.contains(&one.name.as_str()))
}

fn value(container: &Container, names: &[&str]) -> Option<String> {
    variable(container, names)?
        .value
        .clone()
        .filter(|value| !value.is_empty())
}

/// The Secret that the password comes from. One that stands in the workload itself is not taken
/// from there.
fn password(container: &Container, pods: &PodSpec) -> Option<Credential> {
    let by_key = || {
        let from = variable(container, &PASSWORDS)?.value_from.as_ref()?;
        let key = from.secret_key_ref.as_ref()?;
        Some((key.name.clone(), key.key.clone()))
    };
    let (secret, key) = by_key().or_else(|| in_file(container, pods))?;
    Some(Credential::InCluster {
        secret,
        key,
        namespace: None,
    })
}

/// The Secret that is mounted where the file with the password is.
fn in_file(container: &Container, pods: &PodSpec) -> Option<(String, String)> {
    let path = value(container, &FILES)?;
    let mounts = container.volume_mounts.iter().flatten();
    let mount = mounts
        .filter(|mount| path.starts_with(&mount.mount_path))
        .max_by_key(|mount| mount.mount_path.len())?;
    let mut volumes = pods.volumes.iter().flatten();
    let volume = volumes.find(|volume| volume.name == mount.name)?;
    let source = volume.secret.as_ref()?;
    let file = path[mount.mount_path.len()..]
        .trim_start_matches('/')
        .to_owned();
    let mut items = source.items.iter().flatten();
    let key = items
        .find(|item| item.path == file)
        .map(|item| item.key.clone());
    Some((source.secret_name.clone()?, key.unwrap_or(file)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{inventory, set};
    use super::*;

    fn found(container: &Value) -> Option<Database> {
        find(&inventory(&[], &[set("db", "db", container)]))
    }

    fn key(secret: &str, key: &str) -> Credential {
        Credential::InCluster {
            secret: secret.to_owned(),
            key: key.to_owned(),
            namespace: None,
        }
    }

    #[test]
    fn the_official_image_tells_user_name_and_password() {
        let database = found(&json!({ "name": "db", "image": "postgres:17", "env": [
            { "name": "POSTGRES_USER", "value": "acme" },
            { "name": "POSTGRES_PASSWORD", "valueFrom": { "secretKeyRef": { "name": "pg", "key": "pw" } } },
        ] }))
        .expect("found");
        assert_eq!(database.place(), "statefulset/db");
        assert_eq!(
            (database.name.as_str(), database.user.as_deref()),
            ("acme", Some("acme"))
        );
        assert_eq!(database.password, Some(key("pg", "pw")));
    }

    #[test]
    fn bitnamis_image_has_the_password_in_a_file() {
        let container = json!({ "name": "db", "image": "docker.io/bitnami/postgresql:16", "env": [
            { "name": "POSTGRES_DATABASE", "value": "ignored" },
            { "name": "POSTGRESQL_DATABASE", "value": "shop" },
            { "name": "POSTGRES_PASSWORD_FILE", "value": "/opt/bitnami/postgresql/secrets/postgres-password" },
        ], "volumeMounts": [{ "name": "p", "mountPath": "/opt/bitnami/postgresql/secrets/" }] });
        let mut set = set("db", "db", &container);
        set["spec"]["template"]["spec"]["volumes"] =
            json!([{ "name": "p", "secret": { "secretName": "pg" } }]);
        let database = find(&inventory(&[], &[set])).expect("found");
        assert_eq!(
            (database.name.as_str(), database.user.as_deref()),
            ("shop", Some("postgres"))
        );
        assert_eq!(database.password, Some(key("pg", "postgres-password")));
    }

    #[test]
    fn a_password_that_stands_in_the_workload_is_left_there() {
        let database = found(&json!({ "name": "db", "image": "postgres", "env": [
            { "name": "POSTGRES_PASSWORD", "value": "hunter2" }] }));
        assert_eq!(database.expect("found").password, None);
    }

    #[test]
    fn what_only_has_the_name_is_no_database() {
        for image in ["postgres-exporter:1", "web:1", "bitnami/pgbouncer:1"] {
            assert!(
                found(&json!({ "name": "a", "image": image })).is_none(),
                "{image}"
            );
        }
    }
}
