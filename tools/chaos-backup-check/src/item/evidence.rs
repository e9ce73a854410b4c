//! The evidence of drills: one file for each backup that was restored, named after its digest.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::drill_evidence::DrillEvidence;
use chaos_common::config::{Config, Span};
use chaos_common::record::{BackupItem, Check, RestoreDrill, Time, Verdict};

pub(crate) const ID: &str = "backup.restore_tested";
/// No evidence is larger.
const MAX_FILE: u64 = 1 << 20;
/// Clocks of two machines may differ by this much.
const SKEW_MS: i64 = 60_000;

/// The folder of the evidence.
pub(crate) fn folder(config: &Config) -> Result<PathBuf, String> {
    match config
        .drill
        .as_ref()
        .and_then(|drill| drill.evidence.clone())
    {
        Some(folder) => Ok(folder),
        None => crate::monitoring::state_folder::folder().map(|state| state.join("drills")),
    }
}

/// Keeps the evidence of a drill. One of the same bytes is replaced: the later one counts.
pub(crate) fn keep(
    folder: &Path,
    tool: String,
    namespace: &str,
    backup: &str,
    drill: &RestoreDrill,
) -> io::Result<PathBuf> {
    let evidence = DrillEvidence::new(tool, namespace, backup, drill);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)?;
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = format!("{namespace}-{backup}").chars().map(plain).collect();
    let path = folder.join(format!("{name}-{}.json", drill.blake3));
    let mut file = tempfile::Builder::new()
        .prefix(".drill-")
        .tempfile_in(folder)?;
    serde_json::to_writer(&mut file, &evidence)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// Whether drills prove that a backup restores, if that is asked.
pub(crate) fn check(config: &Config, namespace: &str, item: &mut BackupItem, now: Time) -> Check {
    let Some(drill) = &config.drill else {
        return Check::skipped(
            ID,
            &item.path,
            "is not asked: there is no [drill] in the configuration",
        );
    };
    let read = folder(config).and_then(|folder| read(&folder, namespace, &item.name));
    let advice = format!(
        "chaos-backup-check drill {} restores it for a trial, into a place of its own",
        item.name
    );
    let check = match read {
        Err(why) => Check::unknown(ID, &item.path, why),
        Ok(drills) => {
            let (check, latest) = judge(&drills, item, drill.max_age, now);
            item.drill = latest;
            check
        }
    };
    check.hint(advice)
}

/// All drills of the backups of this name.
fn read(folder: &Path, namespace: &str, backup: &str) -> Result<Vec<RestoreDrill>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(format!(
                "the evidence of drills in {} cannot be read: {error}",
                folder.display()
            ));
        }
    };
    let mut drills = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| {
                format!(
                    "the evidence in {} cannot be read: {error}",
                    folder.display()
                )
            })?
            .path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let trouble = |why: String| format!("the evidence {} {why}", path.display());
        let mut text = Vec::new();
        let file = File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
        file.map_err(|error| trouble(format!("cannot be read: {error}")))?;
        let evidence = DrillEvidence::parse(&text).map_err(|error| trouble(error.to_string()))?;
        if evidence.backup == backup && evidence.namespace == namespace {
            drills.push(evidence.drill);
        }
    }
    Ok(drills)
}

/// What the drills prove: one of this very file says the most, else the latest one of that name.
fn judge(
    drills: &[RestoreDrill],
    item: &BackupItem,
    max_age: Span,
    now: Time,
) -> (Check, Option<RestoreDrill>) {
    let own = drills
        .iter()
        .find(|drill| item.blake3.as_ref() == Some(&drill.blake3));
    let latest = drills.iter().max_by_key(|drill| drill.time);
    // A later drill of another file that failed shows that something is wrong with how they are
    // made.
    let told = match (own, latest) {
        (Some(own), Some(latest))
            if latest.verdict == Verdict::Pass && own.verdict == Verdict::Fail =>
        {
            own
        }
        (_, Some(latest)) => latest,
        (_, None) => {
            return (
                Check::unknown(ID, &item.path, "no drill has restored it"),
                None,
            );
        }
    };
    let this = if own == Some(told) {
        "this very file"
    } else {
        "an earlier backup of this name"
    };
    let age = now.since_ms(told.time);
    let ago = Span::seconds(u64::try_from(age / 1000).unwrap_or(0));
    let when = told.time.human();
    let check = if told.verdict != Verdict::Pass {
        Check::fail(
            ID,
            &item.path,
            format!(
                "the drill at {when} could not restore {this}: {}",
                told.summary
            ),
        )
    } else if age < -SKEW_MS {
        Check::unknown(
            ID,
            &item.path,
            format!("its drill is from the future ({when}): a clock is wrong"),
        )
    } else if u128::try_from(age).is_ok_and(|age| age > max_age.0.as_millis()) {
        Check::fail(
            ID,
            &item.path,
            format!("the last drill was at {when}, {ago} ago, and {max_age} is the limit"),
        )
    } else {
        let took = told
            .restore_ms
            .map_or(String::new(), |ms| format!(" in {ms} ms"));
        let message = format!(
            "{this} was restored{took} at {when}, {ago} ago, into {}",
            told.into
        );
        Check::pass(ID, &item.path, message)
    };
    (check, Some(told.clone()))
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    fn at(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    fn drill(blake3: &str, time: &str, verdict: Verdict) -> RestoreDrill {
        RestoreDrill {
            verdict,
            time: at(time),
            blake3: blake3.into(),
            size_bytes: 1,
            restore_ms: Some(5),
            into: "a scratch".into(),
            rows: None,
            summary: "so it was".into(),
        }
    }

    fn item(blake3: &str) -> BackupItem {
        let json =
            serde_json::json!({"name": "db", "path": "/b/db", "max_age_s": 1, "blake3": blake3});
        serde_json::from_value(json).expect("an item")
    }

    fn judged(drills: &[RestoreDrill]) -> (Status, String) {
        let month = Span::seconds(30 * 86_400);
        let (check, _) = judge(drills, &item("aa"), month, at("2026-11-22T16:00:00Z"));
        (check.status, check.message)
    }

    #[test]
    fn only_a_fresh_drill_that_passed_proves_it() {
        use Verdict::{Fail, Pass};
        let (status, message) = judged(&[]);
        assert_eq!(status, Status::Unknown, "{message}");
        let (status, message) = judged(&[drill("aa", "2026-11-20T16:00:00Z", Pass)]);
        assert_eq!(status, Status::Pass);
        assert!(
            message.starts_with("this very file was restored in 5 ms"),
            "{message}"
        );
        let (status, message) = judged(&[drill("bb", "2026-11-20T16:00:00Z", Pass)]);
        assert_eq!(status, Status::Pass);
        assert!(
            message.starts_with("an earlier backup of this name"),
            "{message}"
        );
        assert_eq!(
            judged(&[drill("aa", "2026-10-23T15:59:59Z", Pass)]).0,
            Status::Fail,
            "a second too old"
        );
        assert_eq!(
            judged(&[drill("aa", "2026-10-23T16:00:00Z", Pass)]).0,
            Status::Pass,
            "the limit itself"
        );
        assert_eq!(
            judged(&[drill("aa", "2026-11-22T16:01:01Z", Pass)]).0,
            Status::Unknown,
            "the future"
        );
        let old = drill("bb", "2026-11-01T16:00:00Z", Pass);
        assert_eq!(
            judged(&[old.clone(), drill("cc", "2026-11-20T16:00:00Z", Fail)]).0,
            Status::Fail,
            "the latest failed"
        );
        assert_eq!(
            judged(&[
                drill("aa", "2026-11-02T16:00:00Z", Fail),
                drill("cc", "2026-11-20T16:00:00Z", Pass)
            ])
            .0,
            Status::Fail,
            "this file failed, whatever another did"
        );
        assert_eq!(
            judged(&[
                drill("cc", "2026-11-02T16:00:00Z", Fail),
                drill("aa", "2026-11-20T16:00:00Z", Pass)
            ])
            .0,
            Status::Pass,
            "it was put right"
        );
    }

    #[test]
    fn evidence_is_kept_and_found_by_name_and_namespace() {
        let folder = tempfile::tempdir().expect("a folder");
        let one = drill("aa", "2026-11-20T16:00:00Z", Verdict::Pass);
        let kept = |backup: &str, drill: &RestoreDrill| {
            keep(
                &folder.path().join("x"),
                "t 1".into(),
                "shop",
                backup,
                drill,
            )
            .expect("kept")
        };
        let path = kept("../db", &one);
        assert!(
            path.starts_with(folder.path().join("x")) && !path.display().to_string().contains(".."),
            "{path:?}"
        );
        let all = |namespace, backup| read(&folder.path().join("x"), namespace, backup);
        assert_eq!(all("shop", "../db"), Ok(vec![one.clone()]));
        assert_eq!(all("shop", "other"), Ok(Vec::new()));
        assert_eq!(all("test", "../db"), Ok(Vec::new()));
        kept(
            "../db",
            &RestoreDrill {
                verdict: Verdict::Fail,
                ..one
            },
        );
        assert_eq!(
            all("shop", "../db").expect("read")[0].verdict,
            Verdict::Fail,
            "the later one counts"
        );
        std::fs::write(&path, "{}").expect("written");
        assert!(
            all("shop", "other")
                .expect_err("damaged")
                .contains("is damaged")
        );
        assert_eq!(
            read(&folder.path().join("absent"), "shop", "x"),
            Ok(Vec::new())
        );
    }
}
