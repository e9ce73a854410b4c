//! The backups that an operator has made or tried to make: which counts, and what came after it.

use chaos_backup_check::formats::inspection::COMPLETE;
use chaos_common::record::{Status, Time};
use jiff::Timestamp;

use super::account::Finding;
use crate::source::Absent;

/// One backup, by its object.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) name: String,
    pub(super) end: End,
    /// When it began; when it was asked for, where that is not told.
    pub(super) began: Option<Timestamp>,
    /// The moment that it holds the data of, where it has ended well.
    pub(super) made: Option<Timestamp>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Well,
    /// Not, or not wholly, and why.
    Badly(String),
    /// Not yet.
    NotYet(String),
}

/// The newest that ended well, and what the later ones mean.
pub(super) fn choose<'a>(
    attempts: &'a [Attempt],
    noun: &str,
) -> Result<(&'a Attempt, Vec<Finding>), Absent> {
    let newest = |end: fn(&End) -> bool| {
        let those = attempts.iter().filter(|attempt| end(&attempt.end));
        those.max_by_key(|attempt| (attempt.began, &attempt.name))
    };
    let good = newest(|end| *end == End::Well);
    let bad = newest(|end| matches!(end, End::Badly(_)));
    let Some(good) = good else {
        return Err(none(attempts, bad, noun));
    };
    let mut findings = vec![Finding::new(
        COMPLETE,
        Status::Pass,
        "was completed, as its operator says; what it wrote is not read",
    )];
    if let Some(bad) = bad.filter(|bad| bad.began > good.began)
        && let End::Badly(why) = &bad.end
    {
        let when = bad.began.map_or(String::new(), |began| {
            format!(" of {}", Time(began).human())
        });
        let message = format!("a later one, {}{when}, failed: {why}", bad.name);
        findings.push(
            Finding::new("backup.attempts", Status::Warn, message)
                .hint("see why before the last good one is too old"),
        );
    }
    Ok((good, findings))
}

fn none(attempts: &[Attempt], bad: Option<&Attempt>, noun: &str) -> Absent {
    if let Some(Attempt {
        name,
        end: End::Badly(why),
        ..
    }) = bad
    {
        return Absent::fail(format!(
            "has no {noun} that ended well; {name} failed: {why}"
        ))
        .hint("kubectl describe says more of it");
    }
    let waiting = attempts.iter().find_map(|attempt| match &attempt.end {
        End::NotYet(phase) => Some((&attempt.name, phase)),
        _ => None,
    });
    match waiting {
        Some((name, phase)) => Absent::unknown(format!(
            "has no {noun} that ended yet; {name} is in phase {phase:?}"
        )),
        None => Absent::fail(format!("has no {noun}"))
            .hint("see whether it is scheduled, and what its operator says"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str, began: &str, end: End) -> Attempt {
        Attempt {
            name: name.to_owned(),
            end,
            began: began.parse().ok(),
            made: None,
        }
    }

    #[test]
    fn a_failure_after_the_last_good_one_warns_and_alone_fails() {
        let (one, two) = ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z");
        let bad = || End::Badly("no space".to_owned());
        let warned = |all: &[Attempt]| {
            let (good, findings) = choose(all, "Backup").map_err(|it| it.status)?;
            let warn = findings
                .iter()
                .any(|finding| finding.status == Status::Warn);
            Ok::<_, Status>((good.name.clone(), warn))
        };
        let good = attempt("a", one, End::Well);
        assert_eq!(
            warned(&[good.clone(), attempt("b", two, bad())]),
            Ok(("a".to_owned(), true))
        );
        let later = attempt("a", two, End::Well);
        assert_eq!(
            warned(&[later, attempt("b", one, bad())]),
            Ok(("a".to_owned(), false))
        );
        assert_eq!(warned(&[attempt("b", one, bad())]), Err(Status::Fail));
        let running = attempt("c", one, End::NotYet("running".to_owned()));
        assert_eq!(warned(std::slice::from_ref(&running)), Err(Status::Unknown));
        assert_eq!(warned(&[]), Err(Status::Fail));
        assert_eq!(warned(&[good, running]), Ok(("a".to_owned(), false)));
    }
}
