//! Did a workload report more errors than it may?

use chaos_common::cluster::ReadError;
use chaos_common::record::{Check, LogErrors};

use super::period::Period;

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
pub(super) fn check(found: &LogErrors, unread: &Unread, most: u64, period: &Period) -> Check {
    let workload = &found.workload;
    let message = message(found, unread, most, period);
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

fn message(found: &LogErrors, unread: &Unread, most: u64, period: &Period) -> String {
    let allowed = match most {
        0 => String::new(),
        _ => format!(", {most} allowed"),
    };
    let outage = match found.outage_lines {
        0 => String::new(),
        lines => format!(
            ", and {lines} while services were expected to suffer{}",
            quiet(found, period)
        ),
    };
    format!(
        "{} in the logs of {} pods since {}{allowed}{outage}{}{}",
        lines(found),
        found.pods,
        period.since.human(),
        gone(unread.deleted, "pods that the experiment deleted"),
        gone(unread.lost, "pods' earlier containers"),
    )
}

/// How long such lines went on after that time.
fn quiet(found: &LogErrors, period: &Period) -> String {
    let allowed = period
        .outages
        .first()
        .map(|one| one.until.since_ms(one.whole));
    match (found.quiet_ms, allowed) {
        (Some(late), Some(allowed)) => format!(
            " and after it, the last {} later ({} are allowed)",
            duration(late),
            duration(u64::try_from(allowed).unwrap_or_default())
        ),
        _ => String::new(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds for people")]
fn duration(ms: u64) -> String {
    chaos_common::output::duration(ms as f64)
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
    use super::super::period::Outage;
    use super::*;
    use chaos_common::record::{PatternCount, Status, Time};

    fn period() -> Period {
        let at = |time: &str| Time(format!("2026-11-22T16:{time}Z").parse().expect("a time"));
        Period {
            since: at("00:00.600"),
            outages: vec![Outage {
                from: at("00:10"),
                whole: at("00:20"),
                until: at("00:50"),
            }],
        }
    }

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
            quiet_ms: None,
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
            check(&found(lines), &unread, 1, &period()).status
        };
        assert_eq!(judge(1, &[]), Status::Pass);
        assert_eq!(judge(2, &[]), Status::Fail);
        assert_eq!(judge(2, &unread), Status::Fail);
        assert_eq!(judge(1, &unread), Status::Unknown);
    }

    #[test]
    fn the_time_until_logs_are_quiet_is_told() {
        let found = LogErrors {
            pods: 2,
            outage_lines: 9,
            quiet_ms: Some(4_200),
            ..nothing()
        };
        let told = check(&found, &Unread::default(), 0, &period());
        assert_eq!(told.status, Status::Pass);
        let words = "9 while services were expected to suffer and after it, the last 4.2 s later";
        assert!(told.message.contains(words), "{}", told.message);
    }

    #[test]
    fn no_pods_are_no_evidence() {
        let found = nothing();
        assert_eq!(
            check(&found, &Unread::default(), 0, &period()).status,
            Status::Unknown
        );
    }
}
