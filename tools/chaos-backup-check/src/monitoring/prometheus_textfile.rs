//! Metrics for the textfile collector of node_exporter.
//!
//! The collector reads whatever `*.prom` lies in its folder, and goes on exporting it when no run
//! comes any more. So the file is replaced in one step and readable by everybody, has no times of
//! its own (it would be refused), and tells when the last run was, and the last good one.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use chaos_common::record::{Backup, BackupItem, Status, Time, Verdict};

const LAST_SUCCESS: &str = "chaos_backup_check_last_success_timestamp_seconds";

/// Writes the metrics of a check to `path`. The time of the last good run is taken over from the
/// file that was there.
pub(crate) fn write(path: &Path, backup: &Backup, now: Time, took: Duration) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let before = match std::fs::read_to_string(path) {
        Ok(text) => last_success(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // What can't be read is written anew all the same: old values are worse than a lost time.
        Err(_) => None,
    };
    let mut file = tempfile::Builder::new()
        .prefix(".chaos-backup-check-")
        .suffix(".tmp")
        .tempfile_in(folder)?;
    file.write_all(metrics(backup, now, took, before.as_deref()).as_bytes())?;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn last_success(text: &str) -> Option<String> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(LAST_SUCCESS)?.strip_prefix(' '))?;
    value
        .parse::<f64>()
        .ok()
        .filter(|seconds| seconds.is_finite())?;
    Some(value.to_owned())
}

fn metrics(backup: &Backup, now: Time, took: Duration, before: Option<&str>) -> String {
    let verdict = Verdict::of(&backup.checks);
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, values: &[(String, String)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let each = |of: &dyn Fn(&BackupItem) -> Option<String>| {
        let of =
            |item: &BackupItem| Some((format!("{{backup=\"{}\"}}", label(&item.name)), of(item)?));
        backup.items.iter().filter_map(of).collect::<Vec<_>>()
    };
    let plain = |value: String| vec![(String::new(), value)];
    metric(
        "chaos_backup_pass",
        "Whether every check of this backup passes (1) or not (0).",
        &each(&|item| {
            let mut own = backup
                .checks
                .iter()
                .filter(|check| check.object.as_deref() == Some(&item.path));
            let bad = |status| matches!(status, Status::Fail | Status::Unknown);
            Some(u8::from(!own.any(|check| bad(check.status))).to_string())
        }),
    );
    metric(
        "chaos_backup_made_timestamp_seconds",
        "When this backup was made.",
        &each(&|item| Some(seconds(item.made?))),
    );
    metric(
        "chaos_backup_size_bytes",
        "Size of this backup.",
        &each(&|item| Some(item.size_bytes?.to_string())),
    );
    metric(
        "chaos_backup_max_age_seconds",
        "Oldest age at which this backup passes.",
        &each(&|item| Some(item.max_age_s?.to_string())),
    );
    let verdicts = [Verdict::Pass, Verdict::Fail, Verdict::Unknown];
    let is = |word: Verdict| {
        (
            format!("{{verdict=\"{word}\"}}"),
            u8::from(word == verdict).to_string(),
        )
    };
    metric(
        "chaos_backup_check_verdict",
        "The answer of the last run: 1 at that verdict.",
        &verdicts.map(is),
    );
    metric(
        "chaos_backup_check_duration_seconds",
        "How long the last run took.",
        &plain(took.as_secs_f64().to_string()),
    );
    let now = seconds(now);
    metric(
        "chaos_backup_check_last_run_timestamp_seconds",
        "When the last run ended.",
        &plain(now.clone()),
    );
    let success = if verdict == Verdict::Pass {
        &now
    } else {
        before.unwrap_or("0")
    };
    metric(
        LAST_SUCCESS,
        "When the last run ended that passed; 0 if none has yet.",
        &plain(success.to_owned()),
    );
    text
}

fn seconds(time: Time) -> String {
    let milliseconds = time.0.as_millisecond();
    format!(
        "{}.{:03}",
        milliseconds.div_euclid(1000),
        milliseconds.rem_euclid(1000)
    )
}

/// A label's value, escaped as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use chaos_common::record::{BackupAction, Check};

    use super::*;

    fn backup(status: Status) -> Backup {
        let item = serde_json::from_value(serde_json::json!({
            "name": "a\"b", "path": "/b/x", "size_bytes": 12, "made": "2026-11-22T16:00:00.500Z", "max_age_s": 3600
        }));
        let checks = vec![
            Check::pass("backup.present", "/b/x", ""),
            Check::new("backup.fresh", "/b/x", status, ""),
        ];
        Backup {
            namespace: "shop".into(),
            action: BackupAction::Check,
            checks,
            items: vec![item.expect("an item")],
        }
    }

    fn at(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    #[test]
    fn the_time_of_the_last_good_run_survives_bad_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backup.prom");
        let run = |status, time| {
            write(&path, &backup(status), at(time), Duration::from_millis(250)).expect("written");
            std::fs::read_to_string(&path).expect("readable")
        };
        let value = |text: &str, name: &str| {
            let found = text.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .strip_prefix(' ')
                    .map(str::to_owned)
            });
            found.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        let never = run(Status::Fail, "2026-11-22T16:00:00Z");
        assert_eq!(value(&never, LAST_SUCCESS), "0");
        assert_eq!(value(&never, "chaos_backup_pass{backup=\"a\\\"b\"}"), "0");
        let good = run(Status::Pass, "2026-11-22T16:00:01Z");
        assert_eq!(value(&good, LAST_SUCCESS), "1795363201.000");
        assert_eq!(value(&good, "chaos_backup_pass{backup=\"a\\\"b\"}"), "1");
        assert_eq!(
            value(
                &good,
                "chaos_backup_made_timestamp_seconds{backup=\"a\\\"b\"}"
            ),
            "1795363200.500"
        );
        let bad = run(Status::Unknown, "2026-11-22T17:00:00Z");
        assert_eq!(value(&bad, LAST_SUCCESS), "1795363201.000");
        assert_eq!(
            value(&bad, "chaos_backup_check_last_run_timestamp_seconds"),
            "1795366800.000"
        );
        assert_eq!(
            value(&bad, "chaos_backup_check_verdict{verdict=\"unknown\"}"),
            "1"
        );
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .expect("readable")
            .collect();
        assert_eq!(names.len(), 1, "no half-written file is left: {names:?}");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o644, "the collector is another user");
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("no/such/folder/x.prom");
        let written = write(
            &absent,
            &backup(Status::Pass),
            at("2026-11-22T16:00:00Z"),
            Duration::ZERO,
        );
        assert!(written.is_err());
    }
}
