//! `--trust-unchanged`: what was found when a backup was last read whole, for as long as it is the
//! same file with the same times. Nothing is kept, and nothing trusted, without that option.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::inspection::{Expectations, Inspection, Verified};
use chaos_common::config::{Backup, Span};
use chaos_common::record::{Check, Contents, Time};
use serde::{Deserialize, Serialize};

use crate::monitoring::state_folder;

/// Kind and major version of such a file.
const SCHEMA: &str = "chaos.read/1";

/// What a backup is known by: its place, the very file there, and what is asked of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Subject {
    /// Its place, and the application's namespace.
    pub(super) place: String,
    /// What is another wherever its bytes may be others.
    pub(super) identity: String,
    /// Kind, database and what it must hold; and by which version of this tool that was looked at.
    pub(super) asked: String,
}

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    schema: String,
    #[serde(flatten)]
    subject: Subject,
    /// When it was read.
    read: Time,
    size_bytes: u64,
    blake3: String,
    contents: Contents,
    message: String,
    checks: Vec<Check>,
    /// When it was made by its own account.
    #[serde(default)]
    created: Option<String>,
}

/// The folder of these files.
pub(super) fn folder() -> Option<PathBuf> {
    Some(state_folder::folder().ok()?.join("reads"))
}

/// What is asked of a backup, in one text.
pub(super) fn asked(backup: &Backup, expected: &Expectations) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{version} {:?} {:?} {expected:?}",
        backup.kind, backup.decrypt
    )
}

/// What was found in it, if it was read whole no longer ago than `limit`.
pub(super) fn trusted(
    folder: &Path,
    subject: &Subject,
    limit: Span,
    now: Time,
) -> Option<Verified> {
    let text = fs::read(path(folder, subject)).ok()?;
    let kept: Kept = serde_json::from_slice(&text).ok()?;
    let age = u128::try_from(now.since_ms(kept.read)).ok()?;
    if kept.schema != SCHEMA || kept.subject != *subject || age > limit.0.as_millis() {
        return None;
    }
    let when = kept.read.human();
    Some(Verified {
        found: Inspection {
            contents: kept.contents,
            message: format!(
                "the same file, with the same times, as when it was read whole at {when}, and not \
                 read again; it was: {}",
                kept.message
            ),
            checks: kept.checks,
            objects: Vec::new(),
            created: kept.created.and_then(|created| created.parse().ok()),
            limit: "what changed on its disk without changing its times",
        },
        size_bytes: kept.size_bytes,
        blake3: kept.blake3,
    })
}

/// Keeps what was found, whole or not at all.
pub(super) fn keep(
    folder: &Path,
    subject: &Subject,
    verified: &Verified,
    read: Time,
) -> io::Result<()> {
    // Objects are held against the cluster, one by one.
    if !verified.found.objects.is_empty() {
        return Ok(());
    }
    let kept = Kept {
        schema: SCHEMA.to_owned(),
        subject: subject.clone(),
        read,
        size_bytes: verified.size_bytes,
        blake3: verified.blake3.clone(),
        contents: verified.found.contents.clone(),
        message: verified.found.message.clone(),
        checks: verified.found.checks.clone(),
        created: verified.found.created.map(|created| created.to_string()),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".read-")
        .tempfile_in(folder)?;
    serde_json::to_writer(&mut file, &kept)?;
    file.write_all(b"\n")?;
    file.persist(path(folder, subject))
        .map_err(|error| error.error)?;
    Ok(())
}

fn path(folder: &Path, subject: &Subject) -> PathBuf {
    let name = &digest::of(subject.place.as_bytes())[..32];
    folder.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    fn verified() -> Verified {
        Verified {
            found: Inspection {
                contents: Contents::Tar {
                    members: 3,
                    unpacked_bytes: 5,
                },
                message: "3 members".to_owned(),
                checks: Vec::new(),
                objects: Vec::new(),
                created: None,
                limit: "x",
            },
            size_bytes: 10,
            blake3: "aa".to_owned(),
        }
    }

    #[test]
    fn only_the_same_file_asked_the_same_and_not_too_long_ago_is_trusted() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("reads");
        let subject = Subject {
            place: "/b/x".to_owned(),
            identity: "1:2 10".to_owned(),
            asked: asked(&Backup::default(), &Expectations::default()),
        };
        let week = Span::seconds(7 * 86_400);
        let trusted = |subject: &Subject, now| trusted(&folder, subject, week, at(now));
        assert!(trusted(&subject, "2026-11-22T00:00:00Z").is_none());
        keep(&folder, &subject, &verified(), at("2026-11-20T00:00:00Z")).expect("kept");
        let found = trusted(&subject, "2026-11-22T00:00:00Z").expect("kept");
        assert_eq!((found.size_bytes, found.blake3.as_str()), (10, "aa"));
        assert!(
            found.found.message.contains("2026-11-20"),
            "{}",
            found.found.message
        );
        assert!(
            trusted(&subject, "2026-11-27T00:00:00Z").is_some(),
            "the limit itself"
        );
        assert!(
            trusted(&subject, "2026-11-27T00:00:01Z").is_none(),
            "too long ago"
        );
        assert!(
            trusted(&subject, "2026-11-19T00:00:00Z").is_none(),
            "from the future"
        );
        let wanted = Expectations {
            expect: vec!["users".to_owned()],
            ..Expectations::default()
        };
        let others = [
            Subject {
                identity: "1:3 10".to_owned(),
                ..subject.clone()
            },
            Subject {
                place: "/b/y".to_owned(),
                ..subject.clone()
            },
            Subject {
                asked: asked(&Backup::default(), &wanted),
                ..subject.clone()
            },
        ];
        for other in others {
            assert!(
                trusted(&other, "2026-11-22T00:00:00Z").is_none(),
                "{other:?}"
            );
        }
        let name = path(&folder, &subject);
        fs::write(&name, "{}").expect("written");
        assert!(
            trusted(&subject, "2026-11-22T00:00:00Z").is_none(),
            "damaged"
        );
    }
}
