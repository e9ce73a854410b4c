//! Replicas: do they still follow, and how far are they behind?

use std::time::Duration;

use chaos_common::postgres::{QueryError, Session};
use chaos_common::record::{Check, DatabaseState, ReplicaState, Status};
use tokio::time::{Instant, sleep};

use super::checks::failed;

/// A replica that has lost its primary tries again every five seconds.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// By how much a replica may be further behind than in the baseline: one file of WAL.
const MORE_LAG_BYTES: i64 = 16 << 20;

/// What follows the server. A user without `pg_monitor` sees only that there are some: their state
/// is empty then.
pub(super) async fn read(session: &mut Session) -> Result<Vec<ReplicaState>, QueryError> {
    let sql = include_str!("sql/replicas.sql");
    session.attempt_rows(sql).await
}

/// Looks again, outside of the snapshot, until the replicas are what they were or the patience is
/// over: after a restart of the server they need some seconds.
pub(super) async fn settle(
    session: &mut Session,
    before: Option<&DatabaseState>,
    first: Result<Vec<ReplicaState>, QueryError>,
) -> Result<Vec<ReplicaState>, QueryError> {
    let Some(before) = before else { return first };
    let start = Instant::now();
    let mut now = first;
    while start.elapsed() < PATIENCE {
        match &now {
            Ok(now)
                if troubles(&before.replicas, now)
                    .iter()
                    .any(|(_, status, _)| *status == Status::Fail) => {}
            _ => return now,
        }
        sleep(PAUSE).await;
        session.query("BEGIN READ ONLY").await?;
        now = read(session).await;
        session.query("COMMIT").await?;
    }
    now
}

/// `data.replica`: one check for all that follow as they did, and one for each that does not.
pub(super) fn compare(
    replicas: &Result<Vec<ReplicaState>, QueryError>,
    before: Option<&DatabaseState>,
    object: &str,
) -> Vec<Check> {
    const ID: &str = "data.replica";
    let now = match replicas {
        Ok(replicas) => replicas,
        Err(error) => return vec![failed(ID, object, error)],
    };
    let was = before
        .map(|before| before.replicas.as_slice())
        .unwrap_or_default();
    if now.is_empty() && was.is_empty() {
        return vec![Check::skipped(ID, object, "no replica follows this server")];
    }
    let check = |(name, status, message): (String, Status, String)| {
        let object = if name.is_empty() {
            object.to_owned()
        } else {
            format!("replica {name}")
        };
        let check = Check::new(ID, object, status, message);
        match status {
            Status::Fail => check.hint("SELECT * FROM pg_stat_replication, and the replica's log"),
            Status::Skipped => check.hint("GRANT pg_monitor TO the user of database.user"),
            _ => check,
        }
    };
    let troubles = troubles(was, now);
    let mut checks: Vec<Check> = troubles.into_iter().map(check).collect();
    if checks.is_empty() {
        let lag = now
            .iter()
            .filter_map(|replica| replica.lag_bytes)
            .max()
            .unwrap_or_default();
        let message = match before {
            Some(_) => format!(
                "{} replicas follow as they did, at most {lag} bytes behind",
                now.len()
            ),
            None => format!("{} replicas follow, at most {lag} bytes behind", now.len()),
        };
        checks.push(Check::pass(ID, object, message));
    }
    checks
}

/// What is not as it was, a replica each.
fn troubles(was: &[ReplicaState], now: &[ReplicaState]) -> Vec<(String, Status, String)> {
    let mut troubles = Vec::new();
    let hidden = |all: &[ReplicaState]| all.iter().any(|replica| replica.state.is_empty());
    if hidden(was) || hidden(now) {
        let (then, now) = (was.len(), now.len());
        let message = format!("{now} replicas, {then} in the baseline");
        return vec![if now < then {
            (String::new(), Status::Fail, message)
        } else {
            (
                String::new(),
                Status::Skipped,
                format!("{message}; the user may not see how they follow"),
            )
        }];
    }
    // Names need not be unique.
    let mut left: Vec<&ReplicaState> = now.iter().collect();
    for was in was {
        let Some(at) = left.iter().position(|is| is.name == was.name) else {
            troubles.push((
                was.name.clone(),
                Status::Fail,
                format!("does not follow any more; it was {}", was.state),
            ));
            continue;
        };
        let is = left.remove(at);
        if is.state != "streaming" && was.state == "streaming" {
            troubles.push((
                is.name.clone(),
                Status::Fail,
                format!("is not streaming but {}", is.state),
            ));
            continue;
        }
        let (then, behind) = (was.lag_bytes.unwrap_or_default(), is.lag_bytes);
        match behind {
            Some(behind) if behind > then + MORE_LAG_BYTES => {
                let message = format!("is {behind} bytes behind; {then} in the baseline");
                troubles.push((is.name.clone(), Status::Fail, message));
            }
            None if was.lag_bytes.is_some() => {
                troubles.push((
                    is.name.clone(),
                    Status::Unknown,
                    "does not tell how far behind it is".to_owned(),
                ));
            }
            _ => {}
        }
    }
    troubles
}

/// `data.role`: is a primary still one?
pub(super) fn role(before: Option<&DatabaseState>, now: &DatabaseState, object: &str) -> Check {
    const ID: &str = "data.role";
    let was = before.and_then(|before| before.in_recovery);
    match (was, now.in_recovery == Some(true)) {
        (Some(false), true) => Check::fail(
            ID,
            object,
            "it is a replica now and takes no writes; it was the primary in the baseline",
        )
        .hint("look at where the primary is now, and which of the two the application talks to"),
        (Some(true), false) => Check::new(
            ID,
            object,
            Status::Warn,
            "it is the primary now; it was a replica in the baseline",
        ),
        (_, true) => Check::pass(ID, object, "it is a replica, which takes no writes"),
        (_, false) => Check::pass(ID, object, "it is a primary"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, state: &str, lag_bytes: Option<i64>) -> ReplicaState {
        ReplicaState {
            name: name.to_owned(),
            state: state.to_owned(),
            lag_bytes,
            lag_ms: None,
        }
    }

    fn statuses(was: &[ReplicaState], now: &[ReplicaState]) -> Vec<Status> {
        troubles(was, now)
            .into_iter()
            .map(|(_, status, _)| status)
            .collect()
    }

    #[test]
    fn a_replica_that_is_gone_stopped_or_lags_fails() {
        let good = replica("a", "streaming", Some(100));
        assert_eq!(
            statuses(std::slice::from_ref(&good), std::slice::from_ref(&good)),
            []
        );
        assert_eq!(statuses(&[], std::slice::from_ref(&good)), []);
        assert_eq!(statuses(std::slice::from_ref(&good), &[]), [Status::Fail]);
        assert_eq!(
            statuses(
                std::slice::from_ref(&good),
                &[replica("a", "catchup", Some(0))]
            ),
            [Status::Fail]
        );
        assert_eq!(
            statuses(
                std::slice::from_ref(&good),
                &[replica("a", "streaming", Some(20 << 20))]
            ),
            [Status::Fail]
        );
        assert_eq!(
            statuses(
                std::slice::from_ref(&good),
                &[replica("a", "streaming", None)]
            ),
            [Status::Unknown]
        );
        // Two of the same name are two.
        assert_eq!(
            statuses(&[good.clone(), good.clone()], &[good]),
            [Status::Fail]
        );
    }

    #[test]
    fn without_permission_they_are_only_counted() {
        let (hidden, good) = (replica("", "", None), replica("a", "streaming", Some(1)));
        assert_eq!(
            statuses(
                &[hidden.clone(), hidden.clone()],
                std::slice::from_ref(&hidden)
            ),
            [Status::Fail]
        );
        assert_eq!(
            statuses(std::slice::from_ref(&good), &[hidden]),
            [Status::Skipped]
        );
    }
}
