//! Can the database's pod make dumps? The runbook asks by `pg_dump --version` in it.

use std::time::Duration;

use chaos_common::cluster::exec::ExecTarget;
use chaos_common::cluster::{Access, Cluster, Executed, ReadError, ReadErrorKind};
use chaos_common::config::{BackupKind, Config, Database};
use chaos_common::record::{Check, PodSource};

use crate::program_messages::{self, Meaning};

const ID: &str = "backup.tool";
const LIMIT: Duration = Duration::from_secs(15);
const MAX_OUTPUT: usize = 4096;

/// The check of `pg_dump` in the database's pod; none if no backup of the database is configured.
/// Only here the cluster is connected to.
pub(crate) async fn check(access: &Access, config: &Config, namespace: &str) -> Option<Check> {
    config
        .backups
        .iter()
        .find(|backup| backup.kind == Some(BackupKind::Postgres))?;
    let Some(database) = &config.database else {
        return Some(Check::skipped(
            ID,
            "",
            "no [database] is configured whose pod could be asked for pg_dump",
        ));
    };
    let Some(workload) = &database.workload else {
        let why = "the database is reached directly, and no workload is named whose pod could be \
                   asked for pg_dump";
        return Some(Check::skipped(ID, database.place(), why));
    };
    let object = workload.to_string();
    let check = match ask(access, namespace, (workload, database)).await {
        Ok(executed) => judge(&executed, &object),
        Err(error) if is_missing(&error) => missing(&object),
        Err(error) if error.kind == ReadErrorKind::NotFound => error
            .check(ID, &object)
            .hint("is the database up, and database.workload right? try kubectl get pods"),
        Err(error) => error.check(ID, &object),
    };
    Some(check.from_vantage(format!("exec:{object}")))
}

async fn ask(
    access: &Access,
    namespace: &str,
    (workload, database): (&PodSource, &Database),
) -> Result<Executed, ReadError> {
    let cluster = Cluster::connect(access).await?;
    let pod = cluster.ready_pod(namespace, workload).await?;
    let mut target = ExecTarget::of(&cluster, &pod);
    if let Some(container) = &database.container {
        target = target.container(container);
    }
    let command = target.exec(&["pg_dump", "--version"]);
    command.output(LIMIT, MAX_OUTPUT).await
}

fn judge(executed: &Executed, object: &str) -> Check {
    let said = String::from_utf8_lossy(&executed.stdout).trim().to_owned();
    match executed.code {
        0 if said.starts_with("pg_dump (PostgreSQL)") => Check::pass(ID, object, said),
        0 => Check::fail(
            ID,
            object,
            format!("its pg_dump is not PostgreSQL's: it says {said:?}"),
        ),
        126 | 127 => missing(object),
        code => Check::fail(
            ID,
            object,
            format!(
                "pg_dump --version ends with status {code}: {}",
                executed.stderr
            ),
        ),
    }
}

/// Whether a pod could not be made to run a program because it has none.
fn is_missing(error: &ReadError) -> bool {
    program_messages::of_container_runtime(&error.to_string()) == Some(Meaning::NoSuchProgram)
}

fn missing(object: &str) -> Check {
    Check::fail(ID, object, "has no pg_dump in its pod")
        .hint("use an image with PostgreSQL's client programs, or back up from elsewhere")
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    fn status(code: i32, stdout: &str) -> Status {
        judge(
            &Executed {
                code,
                stdout: stdout.into(),
                stderr: String::new(),
            },
            "deployment/db",
        )
        .status
    }

    #[test]
    fn only_pg_dump_itself_passes() {
        assert_eq!(
            status(0, "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Status::Pass
        );
        assert_eq!(status(0, "hello\n"), Status::Fail);
        assert_eq!(status(127, ""), Status::Fail);
        assert_eq!(status(1, ""), Status::Fail);
    }
}
