//! One line and four statuses, as monitoring plugins speak (Nagios, Icinga, Naemon).

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use chaos_common::record::{Backup, BackupItem, Check, Status, Verdict, summarize};

/// A plugin's statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugin {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

impl Plugin {
    fn word(self) -> &'static str {
        match self {
            Plugin::Ok => "OK",
            Plugin::Warning => "WARNING",
            Plugin::Critical => "CRITICAL",
            Plugin::Unknown => "UNKNOWN",
        }
    }

    /// The status of these checks.
    pub(crate) fn of(checks: &[Check]) -> Plugin {
        match Verdict::of(checks) {
            Verdict::Fail => Plugin::Critical,
            Verdict::Unknown => Plugin::Unknown,
            Verdict::Pass if checks.iter().any(|check| check.status == Status::Warn) => {
                Plugin::Warning
            }
            Verdict::Pass => Plugin::Ok,
        }
    }
}

impl From<Plugin> for ExitCode {
    fn from(plugin: Plugin) -> ExitCode {
        ExitCode::from(plugin as u8)
    }
}

/// The line for a status and its reason alone.
pub(crate) fn line(plugin: Plugin, why: &str) -> String {
    format!("BACKUP {}: {}\n", plugin.word(), text(why))
}

/// The line for a whole check: the summary, and age, size and duration as perfdata.
pub(crate) fn of(backup: &Backup, took: Duration) -> (Plugin, String) {
    let plugin = Plugin::of(&backup.checks);
    let mut why = summarize(&backup.checks);
    if let Some(warned) = backup
        .checks
        .iter()
        .find(|_| plugin == Plugin::Warning)
        .and_then(|_| first_warning(backup))
    {
        let object = warned
            .object
            .as_deref()
            .map(|object| format!("{object} "))
            .unwrap_or_default();
        let _ = write!(why, "; {} {object}warn: {}", warned.id, warned.message);
    }
    let mut perfdata = format!("time={:.3}s", took.as_secs_f64());
    for item in &backup.items {
        perfdata.push_str(&item_perfdata(item));
    }
    let said = line(plugin, &why);
    (plugin, format!("{} | {perfdata}\n", said.trim_end()))
}

fn first_warning(backup: &Backup) -> Option<&Check> {
    backup
        .checks
        .iter()
        .find(|check| check.status == Status::Warn)
}

fn item_perfdata(item: &BackupItem) -> String {
    let label = |of: &str| {
        format!(
            "'{}_{of}'",
            text(&item.name).replace('\'', "''").replace('=', "_")
        )
    };
    let mut perfdata = String::new();
    if let Some(age) = item.age_s {
        let limit = item
            .max_age_s
            .map_or(String::new(), |limit| limit.to_string());
        let _ = write!(perfdata, " {}={age}s;;{limit};0", label("age"));
    }
    if let Some(size) = item.size_bytes {
        let _ = write!(perfdata, " {}={size}B;;;0", label("size"));
    }
    perfdata
}

/// Text that stays on its line and on its side of the bar.
fn text(from: &str) -> String {
    from.chars()
        .map(|c| if c == '|' || c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use chaos_common::record::BackupAction;

    use super::*;

    fn backup(statuses: &[Status]) -> Backup {
        let check = |status: &Status| Check::new("backup.fresh", "/b/x", *status, "a|b\nc");
        let item: BackupItem = serde_json::from_value(serde_json::json!({
            "name": "it's=x", "path": "/b/x", "size_bytes": 12, "age_s": 60, "max_age_s": 3600
        }))
        .expect("an item");
        Backup {
            namespace: "shop".into(),
            action: BackupAction::Check,
            checks: statuses.iter().map(check).collect(),
            items: vec![item],
        }
    }

    #[test]
    fn one_line_with_perfdata_and_the_convention_s_statuses() {
        use Status::{Fail, Pass, Skipped, Unknown, Warn};
        let status = |statuses: &[Status]| of(&backup(statuses), Duration::from_millis(1500));
        for (statuses, plugin) in [
            (&[Pass, Skipped][..], Plugin::Ok),
            (&[Pass, Warn], Plugin::Warning),
            (&[Warn, Unknown], Plugin::Unknown),
            (&[Unknown, Fail, Warn], Plugin::Critical),
            (&[], Plugin::Unknown),
            (&[Skipped], Plugin::Unknown),
        ] {
            let (found, line) = status(statuses);
            assert_eq!(found, plugin, "{line}");
            assert_eq!(
                (line.matches('\n').count(), line.matches('|').count()),
                (1, 1),
                "{line}"
            );
            assert!(
                line.starts_with(&format!("BACKUP {}: ", plugin.word())),
                "{line}"
            );
            assert!(
                line.ends_with("| time=1.500s 'it''s_x_age'=60s;;3600;0 'it''s_x_size'=12B;;;0\n"),
                "{line}"
            );
        }
        assert!(
            status(&[Warn]).1.contains("backup.fresh /b/x warn: a b c"),
            "{}",
            status(&[Warn]).1
        );
        assert_eq!(
            [
                Plugin::Ok,
                Plugin::Warning,
                Plugin::Critical,
                Plugin::Unknown
            ]
            .map(|p| p as u8),
            [0, 1, 2, 3]
        );
    }
}
