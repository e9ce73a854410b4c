//! Velero: the objects Backup (`velero.io/v1`), by <https://velero.io/docs/main/api-types/backup/>.

use chaos_common::cli;
use chaos_common::config::Velero;
use chaos_common::record::{Status, Time};
use jiff::Timestamp;
use serde_json::Value;

use super::account::{Account, Finding};
use super::attempts::{Attempt, End, choose};
use super::kubernetes_list::{Kind, list, text, time};
use crate::context::Context;
use crate::source::Absent;

const BACKUPS: Kind = Kind {
    group: "velero.io",
    name: "Backup",
    plural: "backups",
};
const NAMESPACE: &str = "velero";
/// The label by which a Backup names the Schedule that made it.
const SCHEDULE: &str = "velero.io/schedule-name";

/// Asks the API server.
pub(super) fn ask(settings: &Velero, context: &Context) -> Result<Account, Absent> {
    let namespace = settings.namespace.as_deref().unwrap_or(NAMESPACE);
    let label = settings.schedule.as_ref();
    let label = label.map_or(String::new(), |name| format!("{SCHEDULE}={name}"));
    let backups = cli::block_on(list(BACKUPS, namespace, &label, context))?;
    judge(&backups, &context.namespace, Timestamp::now())
}

/// `namespace` is the application's, which must be in the backup.
fn judge(backups: &[Value], namespace: &str, now: Timestamp) -> Result<Account, Absent> {
    let ours: Vec<&Value> = backups
        .iter()
        .filter(|backup| holds(backup, namespace))
        .collect();
    if ours.is_empty() && !backups.is_empty() {
        let number = backups.len();
        return Err(Absent::fail(format!(
            "has no Backup of namespace {namespace}: {number} are of others"
        ))
        .hint("see includedNamespaces and excludedNamespaces of the Schedule"));
    }
    let attempts: Vec<Attempt> = ours.iter().map(|backup| attempt(backup, now)).collect();
    let (good, mut findings) = choose(&attempts, "Backup")?;
    let of = ours
        .iter()
        .find(|it| text(it, "/metadata/name") == Some(&good.name));
    let number = |path: &str| {
        let found = of.and_then(|object| object.pointer(path)?.as_u64());
        found.unwrap_or_default()
    };
    let warnings = number("/status/warnings");
    if warnings > 0 {
        let message = format!("was completed with {warnings} warnings");
        findings.push(
            Finding::new("backup.warnings", Status::Warn, message)
                .hint("velero backup logs says which"),
        );
    }
    let items = number("/status/progress/itemsBackedUp");
    Ok(Account {
        tool: "Velero".to_owned(),
        backup: good.name.clone(),
        present: format!(
            "the newest of {} Backups of namespace {namespace} that ended well is {}, with {items} items",
            attempts.len(),
            good.name
        ),
        made: good.made,
        size: None,
        findings,
        proven: vec!["that Velero calls it completed, without an error".to_owned()],
        unproven: vec![
            "that what it wrote is still there and whole".to_owned(),
            "that it restores: velero restore create --namespace-mappings".to_owned(),
        ],
    })
}

/// Whether the objects of a namespace belong into a Backup.
fn holds(backup: &Value, namespace: &str) -> bool {
    let names = |path: &str| -> Vec<&str> {
        let all = backup.pointer(path).and_then(Value::as_array);
        all.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let included = names("/spec/includedNamespaces");
    let all = included.is_empty() || included.contains(&"*");
    (all || included.contains(&namespace))
        && !names("/spec/excludedNamespaces").contains(&namespace)
}

fn attempt(object: &Value, now: Timestamp) -> Attempt {
    let phase = text(object, "/status/phase").unwrap_or("New");
    let errors = object
        .pointer("/status/errors")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let began = time(object, "/status/startTimestamp");
    let expired = time(object, "/status/expiration").filter(|expiration| *expiration <= now);
    let end = match phase {
        "Completed" if errors == 0 => match expired {
            None => End::Well,
            Some(at) => End::Badly(format!("it expired at {}", Time(at).human())),
        },
        "Completed" | "PartiallyFailed" | "Failed" | "FailedValidation" => {
            End::Badly(why(object, phase, errors))
        }
        other => End::NotYet(other.to_owned()),
    };
    Attempt {
        name: text(object, "/metadata/name")
            .unwrap_or_default()
            .to_owned(),
        end,
        // Objects are read from here on.
        made: began,
        began: began.or_else(|| time(object, "/metadata/creationTimestamp")),
    }
}

fn why(object: &Value, phase: &str, errors: u64) -> String {
    let reason = text(object, "/status/failureReason");
    let reason = reason.or_else(|| text(object, "/status/validationErrors/0"));
    match reason {
        Some(reason) => format!("{phase}: {}", reason.chars().take(300).collect::<String>()),
        None => format!("{phase}, with {errors} errors"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As Velero writes them, without what does not matter here.
    fn backup(name: &str, phase: &str, day: u8) -> Value {
        json!({"apiVersion": "velero.io/v1", "kind": "Backup",
            "metadata": {"name": name, "namespace": "velero", "creationTimestamp": format!("2026-11-{day:02}T01:00:00Z"),
                "labels": {"velero.io/schedule-name": "nightly", "velero.io/storage-location": "default"}},
            "spec": {"includedNamespaces": ["shop"], "storageLocation": "default", "ttl": "720h0m0s", "hooks": {}},
            "status": {"phase": phase, "startTimestamp": format!("2026-11-{day:02}T01:00:01Z"), "formatVersion": "1.1.0", "version": 1,
                "completionTimestamp": format!("2026-11-{day:02}T01:02:01Z"), "expiration": "2026-12-22T01:00:00Z",
                "progress": {"itemsBackedUp": 61, "totalItems": 61}}})
    }

    fn judged(backups: &[Value]) -> Result<Account, Absent> {
        judge(
            backups,
            "shop",
            "2026-11-22T12:00:00Z".parse().expect("a time"),
        )
    }

    fn counts(backups: &[Value]) -> Result<String, Status> {
        judged(backups)
            .map(|account| account.backup)
            .map_err(|absent| absent.status)
    }

    #[test]
    fn only_what_was_completed_without_an_error_and_has_not_expired_counts() {
        let two = [backup("a", "Completed", 21), backup("b", "Completed", 22)];
        assert_eq!(counts(&two).as_deref(), Ok("b"));
        let partly = [
            backup("a", "Completed", 21),
            backup("b", "PartiallyFailed", 22),
        ];
        let account = judged(&partly).map_err(|absent| absent.why).expect("one");
        assert_eq!(account.backup, "a");
        assert!(
            account
                .findings
                .iter()
                .any(|finding| finding.status == Status::Warn)
        );
        for phase in ["PartiallyFailed", "Failed", "FailedValidation"] {
            assert_eq!(
                counts(&[backup("a", phase, 22)]),
                Err(Status::Fail),
                "{phase}"
            );
        }
        for phase in [
            "New",
            "InProgress",
            "Finalizing",
            "WaitingForPluginOperations",
            "Deleting",
            "Dreaming",
        ] {
            assert_eq!(
                counts(&[backup("a", phase, 22)]),
                Err(Status::Unknown),
                "{phase}"
            );
        }
        let mut expired = backup("a", "Completed", 22);
        expired["status"]["expiration"] = "2026-11-22T11:00:00Z".into();
        assert_eq!(counts(&[expired]), Err(Status::Fail));
        let mut errors = backup("a", "Completed", 22);
        errors["status"]["errors"] = 3.into();
        assert_eq!(counts(&[errors]), Err(Status::Fail));
        let mut warned = backup("a", "Completed", 22);
        warned["status"]["warnings"] = 2.into();
        let account = judged(&[warned]).map_err(|absent| absent.why).expect("one");
        assert!(
            account
                .findings
                .iter()
                .any(|finding| finding.message.contains("2 warnings"))
        );
    }

    #[test]
    fn a_backup_of_other_namespaces_is_none() {
        let of = |included: Value, excluded: Value| {
            let mut one = backup("a", "Completed", 22);
            one["spec"]["includedNamespaces"] = included;
            one["spec"]["excludedNamespaces"] = excluded;
            counts(&[one]).is_ok()
        };
        assert!(of(json!(["*"]), Value::Null) && of(Value::Null, Value::Null));
        assert!(of(json!(["shop", "x"]), json!(["y"])));
        assert!(!of(json!(["other"]), Value::Null));
        assert!(!of(json!(["*"]), json!(["shop"])));
        assert_eq!(counts(&[]), Err(Status::Fail));
    }
}
