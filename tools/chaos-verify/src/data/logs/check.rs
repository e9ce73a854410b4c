//! Did a workload report more errors than it may?

use chaos_common::cluster::ReadError;
use chaos_common::record::{Check, LogErrors, Time};

pub(super) const ID: &str = "data.logs";

/// What could not be read of a workload's logs.
#[derive(Clone, Debug, Default)]
pub(super) struct Unread {
    /// Logs that should be there.
    pub(super) errors: Vec<ReadError>,
    /// Pods with containers whose logs the node no longer keeps.
    pub(super) lost: usize,
    /// Pods that the experiment deleted.
    pub(super) deleted: usize,
}

/// `data.logs`: whether a workload reports more than `most` lines of errors since then.
pub(super) fn check(found: &LogErrors, unread: &Unread, most: u64, since: Time) -> Check {
    let workload = &found.workload;
    let message = message(found, unread, most, since);
    if found.lines > most {
        let first = found.samples.first();
        let first = first.map(|first| format!("; the first: {first}"));
        let message = message + &first.unwrap_or_default();
        return Check::fail(ID, workload, message);
    }
    match unread.errors.first() {
        Some(error) => {
            let mut check = error.check(ID, workload);
            check.message = format!("{message}; {error}");
            check
        }
        None if found.pods == 0 => {
            Check::unknown(ID, workload, "it has no pods whose logs could be read")
        }
        None => Check::pass(ID, workload, message),
    }
}

fn message(found: &LogErrors, unread: &Unread, most: u64, since: Time) -> String {
    let allowed = match most {
        0 => String::new(),
        _ => format!(", {most} allowed"),
    };
    let outage = match found.outage_lines {
        0 => String::new(),
        lines => format!(", and {lines} while services were expected to suffer"),
    };
    format!(
        "{} in the logs of {} pods since {}{allowed}{outage}{}{}",
        lines(found),
        found.pods,
        since.human(),
        gone(unread.deleted, "pods that the experiment deleted"),
        gone(unread.lost, "pods' earlier containers"),
    )
}

fn lines(found: &LogErrors) -> String {
    let lines = found.lines;
    if let [one] = found.patterns.as_slice() {
        return format!("{lines} {} lines", one.pattern);
    }
    let each = found.patterns.iter();
    let each: Vec<_> = each
        .map(|one| format!("{} {}", one.lines, one.pattern))
        .collect();
    format!("{lines} lines of errors ({})", each.join(", "))
}

fn gone(count: usize, what: &str) -> String {
    match count {
        0 => String::new(),
        _ => format!("; the logs of {count} {what} are gone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::{PatternCount, Status};

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    fn nothing() -> LogErrors {
        let patterns = vec![PatternCount {
            pattern: "ERROR".to_owned(),
            lines: 0,
        }];
        LogErrors {
            workload: "deployment/a".to_owned(),
            pods: 0,
            lines: 0,
            outage_lines: 0,
            patterns,
            samples: Vec::new(),
        }
    }

    #[test]
    fn too_many_lines_fail_even_if_other_logs_are_unread_and_few_are_then_unknown() {
        let found = |lines| LogErrors {
            pods: 2,
            lines,
            ..nothing()
        };
        let unread = [ReadError::other("read the log of pod a", "gone")];
        let judge = |lines, errors: &[ReadError]| {
            let unread = Unread {
                errors: errors.to_vec(),
                ..Unread::default()
            };
            check(&found(lines), &unread, 1, time(SINCE)).status
        };
        assert_eq!(judge(1, &[]), Status::Pass);
        assert_eq!(judge(2, &[]), Status::Fail);
        assert_eq!(judge(2, &unread), Status::Fail);
        assert_eq!(judge(1, &unread), Status::Unknown);
    }

    #[test]
    fn no_pods_are_no_evidence() {
        let found = nothing();
        assert_eq!(
            check(&found, &Unread::default(), 0, time(SINCE)).status,
            Status::Unknown
        );
    }
}
