//! CloudNativePG: the objects Backup and ScheduledBackup of a Cluster (`postgresql.cnpg.io/v1`), by
//! <https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/>.

use chaos_common::cli;
use chaos_common::config::CloudNativePg;
use chaos_common::record::{Status, Time};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::account::{Account, Finding};
use super::attempts::{Attempt, End, choose};
use super::kubernetes_list::{Kind, list, text, time};
use crate::context::Context;
use crate::source::Absent;

const GROUP: &str = "postgresql.cnpg.io";
const BACKUPS: Kind = Kind {
    group: GROUP,
    name: "Backup",
    plural: "backups",
};
const SCHEDULES: Kind = Kind {
    group: GROUP,
    name: "ScheduledBackup",
    plural: "scheduledbackups",
};
const SCHEDULED: &str = "backup.scheduled";
/// A backup that is due may be begun so much later.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// Asks the API server.
pub(super) fn ask(settings: &CloudNativePg, context: &Context) -> Result<Account, Absent> {
    let listed = async {
        let namespace = &context.namespace;
        let backups = list(BACKUPS, namespace, "", context).await?;
        let schedules = list(SCHEDULES, namespace, "", context).await?;
        Ok((backups, schedules))
    };
    let (backups, schedules) = cli::block_on(listed)?;
    judge(&settings.cluster, &backups, &schedules, Timestamp::now())
}

fn judge(
    cluster: &str,
    backups: &[Value],
    schedules: &[Value],
    now: Timestamp,
) -> Result<Account, Absent> {
    let ours = |object: &&Value| text(object, "/spec/cluster/name") == Some(cluster);
    let attempts: Vec<Attempt> = backups.iter().filter(ours).map(attempt).collect();
    let (good, mut findings) = choose(&attempts, &format!("Backup of cluster {cluster}"))?;
    let own: Vec<&Value> = schedules.iter().filter(ours).collect();
    findings.push(scheduled(&own, now));
    Ok(Account {
        tool: "CloudNativePG".to_owned(),
        backup: good.name.clone(),
        present: format!(
            "the newest of {} Backups that ended well is {}",
            attempts.len(),
            good.name
        ),
        made: good.made,
        size: None,
        findings,
        proven: vec!["that the operator calls it completed".to_owned()],
        unproven: vec![
            "that what it wrote is still there and whole".to_owned(),
            "that a Cluster can be made of it: spec.bootstrap.recovery".to_owned(),
        ],
    })
}

fn attempt(object: &Value) -> Attempt {
    let phase = text(object, "/status/phase").unwrap_or("pending");
    let going = text(object, "/metadata/deletionTimestamp").is_some();
    let end = match phase {
        _ if going => End::NotYet("deleting".to_owned()),
        "completed" => End::Well,
        "failed" | "walArchivingFailing" => {
            let why = text(object, "/status/error").unwrap_or(phase);
            End::Badly(why.chars().take(300).collect())
        }
        other => End::NotYet(other.to_owned()),
    };
    let began = time(object, "/status/startedAt");
    Attempt {
        name: text(object, "/metadata/name")
            .unwrap_or_default()
            .to_owned(),
        end,
        began: began.or_else(|| time(object, "/metadata/creationTimestamp")),
        // Recovery goes to its end at least.
        made: time(object, "/status/stoppedAt"),
    }
}

/// Whether more are to come.
fn scheduled(schedules: &[&Value], now: Timestamp) -> Finding {
    let suspended = |object: &&&Value| object.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let at_work = schedules.iter().filter(|object| !suspended(object));
    let names = |object: &&Value| {
        text(object, "/metadata/name")
            .unwrap_or_default()
            .to_owned()
    };
    let (mut good, mut late) = (Vec::new(), Vec::new());
    for object in at_work {
        let next = time(object, "/status/nextScheduleTime");
        match next.filter(|next| now.duration_since(*next) > LATE) {
            Some(next) => late.push(format!(
                "{} was due at {}",
                names(object),
                Time(next).human()
            )),
            None => good.push(names(object)),
        }
    }
    if let Some(first) = late.first() {
        let message = format!("the ScheduledBackup {first} and has not begun");
        return Finding::new(SCHEDULED, Status::Warn, message)
            .hint("is the operator running? kubectl describe scheduledbackup says more");
    }
    if let Some(first) = good.first() {
        return Finding::new(
            SCHEDULED,
            Status::Pass,
            format!("by the ScheduledBackup {first}"),
        );
    }
    let message = if schedules.is_empty() {
        "no ScheduledBackup makes the next one"
    } else {
        "every ScheduledBackup of it is suspended"
    };
    Finding::new(SCHEDULED, Status::Warn, message)
}

#[cfg(test)]
mod tests {
    use chaos_backup_check::formats::inspection::COMPLETE;
    use serde_json::json;

    use super::*;

    /// As the operator writes them, without what does not matter here.
    fn backup(name: &str, phase: &str, day: u8) -> Value {
        json!({"apiVersion": "postgresql.cnpg.io/v1", "kind": "Backup",
            "metadata": {"name": name, "namespace": "shop", "creationTimestamp": format!("2026-11-{day:02}T00:00:00Z"),
                "labels": {"cnpg.io/cluster": "shop-db", "cnpg.io/scheduled-backup": "nightly"}},
            "spec": {"cluster": {"name": "shop-db"}, "method": "barmanObjectStore"},
            "status": {"phase": phase, "backupId": "20261122T000003", "destinationPath": "s3://backups/",
                "startedAt": format!("2026-11-{day:02}T00:00:03Z"), "stoppedAt": format!("2026-11-{day:02}T00:01:03Z"),
                "beginWal": "000000010000000000000006", "endWal": "000000010000000000000006",
                "error": if phase == "failed" { "exit status 1" } else { "" }, "method": "barmanObjectStore"}})
    }

    fn schedule(suspend: bool, next: &str) -> Value {
        json!({"metadata": {"name": "nightly"}, "spec": {"cluster": {"name": "shop-db"}, "schedule": "0 0 0 * * *", "suspend": suspend},
            "status": {"lastScheduleTime": "2026-11-22T00:00:00Z", "nextScheduleTime": next}})
    }

    fn judged(backups: &[Value], schedules: &[Value]) -> Result<Account, Absent> {
        judge("shop-db", backups, schedules, at("2026-11-22T12:00:00Z"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_newest_that_was_completed_counts() {
        let next = schedule(false, "2026-11-23T00:00:00Z");
        let all = [
            backup("a", "completed", 20),
            backup("c", "completed", 22),
            backup("b", "completed", 21),
        ];
        let account = judged(&all, std::slice::from_ref(&next)).map_err(|absent| absent.why);
        let account = account.expect("one");
        assert_eq!(
            (account.backup.as_str(), account.made),
            ("c", Some(at("2026-11-22T00:01:03Z")))
        );
        assert!(
            account
                .findings
                .iter()
                .all(|finding| finding.status == Status::Pass)
        );
        assert_eq!(account.findings[0].id, COMPLETE);
        let mut other = backup("d", "completed", 22);
        other["spec"]["cluster"]["name"] = "other".into();
        let absent = judged(&[other, backup("e", "failed", 22)], &[]).expect_err("none");
        assert_eq!(absent.status, Status::Fail);
        assert!(absent.why.contains("exit status 1"), "{}", absent.why);
        let running = judged(&[backup("f", "running", 22)], &[]).expect_err("none");
        assert_eq!(running.status, Status::Unknown);
    }

    #[test]
    fn a_schedule_that_stands_still_warns() {
        let of = |schedules: &[Value]| {
            let schedules: Vec<&Value> = schedules.iter().collect();
            scheduled(&schedules, at("2026-11-22T12:00:00Z")).status
        };
        assert_eq!(of(&[schedule(false, "2026-11-23T00:00:00Z")]), Status::Pass);
        assert_eq!(
            of(&[schedule(false, "2026-11-22T10:00:00Z")]),
            Status::Warn,
            "late"
        );
        assert_eq!(
            of(&[schedule(true, "2026-11-23T00:00:00Z")]),
            Status::Warn,
            "suspended"
        );
        assert_eq!(of(&[]), Status::Warn);
    }
}
