//! The evidence of drills: one file for each backup that was restored, named after its digest.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::drill_evidence::DrillEvidence;
use chaos_backup_check::formats::error::SidecarError;
use chaos_common::config::{Config, Span};
use chaos_common::record::{RestoreDrill, Status, Time, Verdict};
use etcetera::HomeDirError;

use crate::monitoring::state_folder;

pub(crate) const ID: &str = "backup.restore_tested";
/// No evidence is larger.
const MAX_FILE: u64 = 1 << 20;
/// Clocks of two machines may differ by this much.
const SKEW_MS: i64 = 60_000;

/// Why the evidence of drills can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvidenceError {
    #[error("the evidence of drills has no folder: {0}")]
    NoFolder(#[from] HomeDirError),
    #[error("the evidence of drills in {} cannot be read: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("the evidence {} {error}", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        error: SidecarError,
    },
}

impl EvidenceError {
    fn unreadable(path: &Path, error: io::Error) -> EvidenceError {
        EvidenceError::Unreadable {
            path: path.to_owned(),
            error,
        }
    }
}

/// The folder of the evidence.
pub(crate) fn folder(config: &Config) -> Result<PathBuf, EvidenceError> {
    let named = config
        .drill
        .as_ref()
        .and_then(|drill| drill.evidence.clone());
    match named {
        Some(folder) => Ok(folder),
        None => Ok(state_folder::folder()?.join("drills")),
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
    let name = file_name(namespace, backup);
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

/// What the files of a backup are called.
pub(crate) fn file_name(namespace: &str, backup: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name = format!("{namespace}-{backup}");
    name.chars().map(plain).collect()
}

/// All drills of the backups of this name.
pub(crate) fn read(
    folder: &Path,
    namespace: &str,
    backup: &str,
) -> Result<Vec<RestoreDrill>, EvidenceError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EvidenceError::unreadable(folder, error)),
    };
    let mut drills = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| EvidenceError::unreadable(folder, error))?;
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if hidden || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let evidence = read_one(&path)?;
        if evidence.backup == backup && evidence.namespace == namespace {
            drills.push(evidence.drill);
        }
    }
    Ok(drills)
}

fn read_one(path: &Path) -> Result<DrillEvidence, EvidenceError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
        .map_err(|error| EvidenceError::unreadable(path, error))?;
    DrillEvidence::parse(&text).map_err(|error| EvidenceError::Damaged {
        path: path.to_owned(),
        error,
    })
}

/// The drill that says the most of a backup.
#[derive(Clone, Copy, Debug)]
pub(super) struct TellingDrill<'d> {
    pub(super) drill: &'d RestoreDrill,
    /// Whether it was of this very file.
    own: bool,
}

/// One of this very file says the most, else the latest one of that name.
pub(super) fn telling<'d>(
    drills: &'d [RestoreDrill],
    blake3: Option<&str>,
) -> Option<TellingDrill<'d>> {
    let own = drills.iter().find(|drill| blake3 == Some(&drill.blake3));
    let latest = drills.iter().max_by_key(|drill| drill.time)?;
    // A later drill of another file that failed shows that something is wrong with how they are
    // made.
    let drill = match own {
        Some(own) if latest.verdict == Verdict::Pass && own.verdict == Verdict::Fail => own,
        _ => latest,
    };
    Some(TellingDrill {
        drill,
        own: own == Some(drill),
    })
}

/// What a drill proves.
pub(super) fn judge(told: &TellingDrill, max_age: Span, now: Time) -> (Status, String) {
    let drill = told.drill;
    let this = if told.own {
        "this very file"
    } else {
        "an earlier backup of this name"
    };
    let age = now.since_ms(drill.time);
    let ago = Span::seconds(u64::try_from(age / 1000).unwrap_or(0));
    let when = drill.time.human();
    if drill.verdict != Verdict::Pass {
        let why = &drill.summary;
        let message = format!("the drill at {when} could not restore {this}: {why}");
        return (Status::Fail, message);
    }
    if age < -SKEW_MS {
        let message = format!("its drill is from the future ({when}): a clock is wrong");
        return (Status::Unknown, message);
    }
    if u128::try_from(age).is_ok_and(|age| age > max_age.0.as_millis()) {
        let message =
            format!("the last drill was at {when}, {ago} ago, and {max_age} is the limit");
        return (Status::Fail, message);
    }
    let took = drill
        .restore_ms
        .map_or(String::new(), |ms| format!(" in {ms} ms"));
    let into = &drill.into;
    let message = format!("{this} was restored{took} at {when}, {ago} ago, into {into}");
    (Status::Pass, message)
}

#[cfg(test)]
mod tests {
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

    fn judged(drills: &[RestoreDrill]) -> (Status, String) {
        let month = Span::seconds(30 * 86_400);
        match telling(drills, Some("aa")) {
            Some(told) => judge(&told, month, at("2026-11-22T16:00:00Z")),
            None => (Status::Unknown, "no drill has restored it".to_owned()),
        }
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
        let found = |namespace, backup| all(namespace, backup).expect("readable");
        assert_eq!(found("shop", "../db"), std::slice::from_ref(&one));
        assert_eq!(found("shop", "other"), []);
        assert_eq!(found("test", "../db"), []);
        kept(
            "../db",
            &RestoreDrill {
                verdict: Verdict::Fail,
                ..one
            },
        );
        assert_eq!(
            found("shop", "../db")[0].verdict,
            Verdict::Fail,
            "the later one counts"
        );
        std::fs::write(&path, "{}").expect("written");
        assert!(
            all("shop", "other")
                .expect_err("damaged")
                .to_string()
                .contains("is damaged")
        );
        let absent = read(&folder.path().join("absent"), "shop", "x");
        assert_eq!(absent.expect("no folder is no evidence"), []);
    }
}
