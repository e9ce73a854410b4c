//! How old is a backup, and is that too old?
//!
//! A file's modification time is not enough: copying a file without `-p` makes it young. So the age
//! counts from the time in its manifest, or else from the oldest of its modification time, the time
//! in its own header, and the one in its name where the configuration says how that is written. The
//! time in the header of a PostgreSQL dump is local time without its zone: it counts by the latest
//! moment that it can mean.

use chaos_common::config::{Backup, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Status, Time};
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::source::name_stamp::{Stamp, is_pattern};

/// Id of the check of whether a backup is young enough.
pub(crate) const FRESH: &str = "backup.fresh";
/// A backup that is due may be made so much later.
const LATE: SignedDuration = SignedDuration::from_hours(1);

/// Clocks of two machines may differ by so much.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// How old a backup is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Age {
    /// The time that the age is counted from.
    pub(crate) made: Time,
    /// The age in seconds.
    pub(crate) age_s: i64,
}

/// A backup's age and what it means.
#[derive(Debug)]
pub(crate) struct Freshness {
    pub(crate) age: Age,
    /// Young enough (pass), too old (fail), or made in the future (unknown).
    pub(crate) status: Status,
    /// The same for people.
    pub(crate) message: String,
}

/// What says when a backup was made, besides its manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dates {
    /// The time of the file or object.
    pub(crate) modified: Timestamp,
    /// Its own header.
    pub(crate) header: Option<Stamp>,
    /// Its name.
    pub(crate) name: NameDate,
}

/// What a backup's name says of when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameDate {
    /// The configuration does not ask. What it seems to say is told.
    NotAsked(Option<Stamp>),
    /// By the pattern of the configuration.
    Says(Stamp),
    /// It does not follow that pattern.
    OfOtherForm,
}

impl NameDate {
    /// Of a name, by the pattern of the configuration.
    pub(crate) fn of(name: &str, pattern: Option<&str>) -> NameDate {
        match pattern {
            None => NameDate::NotAsked(Stamp::plain(name)),
            Some(pattern) => {
                Stamp::by_pattern(name, pattern).map_or(NameDate::OfOtherForm, NameDate::Says)
            }
        }
    }
}

impl Dates {
    /// When the backup was made, and by what that is known: the oldest of what counts.
    pub(crate) fn made(&self) -> (Timestamp, &'static str) {
        let header = self.header.map(|stamp| (stamp.latest, "by its own header"));
        let name = match self.name {
            NameDate::Says(stamp) => Some((stamp.latest, "by its name")),
            NameDate::NotAsked(_) | NameDate::OfOtherForm => None,
        };
        [
            Some((self.modified, "by its modification time")),
            header,
            name,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(made, _)| *made)
        .expect("there is a modification time")
    }

    /// Why it can't be told whether it is young.
    fn unknown(&self, now: Timestamp) -> Option<String> {
        let human = |time| Time(time).human();
        if from_future(now, self.modified) {
            return Some(format!(
                "its modification time {} is in the future: a clock is wrong",
                human(self.modified)
            ));
        }
        let later = |stamp: Stamp, what: &str| {
            from_future(now, stamp.earliest).then(|| {
                let earliest = human(stamp.earliest);
                format!("its {what} says {earliest} or later, which is in the future")
            })
        };
        let header = self.header.and_then(|stamp| later(stamp, "own header"));
        header.or_else(|| match self.name {
            NameDate::Says(stamp) => later(stamp, "name"),
            NameDate::OfOtherForm => Some("its name is not as dated in chaos.toml says".to_owned()),
            NameDate::NotAsked(_) => None,
        })
    }
}

/// Judges the age.
pub(crate) fn judge(now: Timestamp, dates: &Dates, due: &Due) -> Freshness {
    let (made, by) = dates.made();
    let mut fresh = judged(now, made, by, dates.unknown(now), due);
    if let (Status::Pass, NameDate::NotAsked(Some(stamp))) = (fresh.status, dates.name)
        && let Some(max_age_s) = due.max_age_s()
        && now.as_second() - stamp.latest.as_second() > max_age_s
    {
        fresh.status = Status::Warn;
        fresh.message = format!(
            "{}; but its name says {}: is it a copy of an older one?",
            fresh.message,
            Time(stamp.latest).human()
        );
    }
    fresh
}

/// Judges the age of a backup that is what its manifest says; `made` is the manifest's time.
pub(crate) fn judge_sealed(now: Timestamp, made: Timestamp, due: &Due) -> Freshness {
    let unknown = from_future(now, made).then(|| {
        format!(
            "its manifest says {}, which is in the future: a clock is wrong",
            Time(made).human()
        )
    });
    judged(now, made, "by its manifest", unknown, due)
}

/// Judges the age of a volume's snapshot; `made` is when its driver says that it was taken.
pub(crate) fn judge_snapshot(now: Timestamp, made: Timestamp, due: &Due) -> Freshness {
    let unknown = from_future(now, made).then(|| {
        format!(
            "its driver says {}, which is in the future: a clock is wrong",
            Time(made).human()
        )
    });
    judged(now, made, "by its driver", unknown, due)
}

/// Judges the age of what a tool keeps; `made` is what the tool says.
pub(crate) fn judge_told(now: Timestamp, made: Timestamp, due: &Due) -> Freshness {
    let unknown = from_future(now, made).then(|| {
        format!(
            "its tool says {}, which is in the future: a clock is wrong",
            Time(made).human()
        )
    });
    judged(now, made, "by its tool", unknown, due)
}

fn from_future(now: Timestamp, moment: Timestamp) -> bool {
    now.checked_add(CLOCK_SKEW)
        .is_ok_and(|future| moment > future)
}

fn judged(
    now: Timestamp,
    made: Timestamp,
    by: &str,
    unknown: Option<String>,
    due: &Due,
) -> Freshness {
    let age_s = now.as_second() - made.as_second();
    let age = Span::seconds(u64::try_from(age_s).unwrap_or(0));
    let human = Time(made).human();
    let (status, message) = if due.max_age_s().is_some_and(|max_age_s| age_s > max_age_s) {
        (
            Status::Fail,
            format!("was made at {human} {by}: {age} ago, and {}", due.why),
        )
    } else if let Some(unknown) = unknown {
        (Status::Unknown, unknown)
    } else if due.max_age.is_none() {
        (
            Status::Skipped,
            format!("was made at {human} {by}, {age} ago; {}", due.why),
        )
    } else {
        (
            Status::Pass,
            format!("was made at {human} {by}: {age} ago, and {}", due.why),
        )
    };
    Freshness {
        age: Age {
            made: Time(made),
            age_s,
        },
        status,
        message,
    }
}

/// How old a backup may be, and why.
#[derive(Debug)]
pub(crate) struct Due {
    /// `None` if it is not judged.
    max_age: Option<Span>,
    why: String,
}

impl Due {
    /// By the configuration: a limit, or the last time of a schedule.
    pub(crate) fn of(backup: &Backup, now: Timestamp) -> Due {
        let schedule = backup
            .schedule
            .as_deref()
            .and_then(|schedule| parse(schedule).ok());
        let last = schedule.and_then(|schedule| last(&schedule, &now.to_zoned(TimeZone::system())));
        match last {
            Some(last) => {
                let age = now.as_second() - last.timestamp().as_second();
                let max_age = Span::seconds(u64::try_from(age).unwrap_or(0));
                Due {
                    max_age: Some(max_age),
                    why: format!("one was due at {}", last.strftime("%Y-%m-%d %H:%M:%S %Z")),
                }
            }
            None => Due {
                max_age: backup.max_age,
                why: match backup.max_age {
                    Some(limit) => format!("{limit} is the limit"),
                    None => "no --max-age judges that".to_owned(),
                },
            },
        }
    }

    /// The oldest age that passes, in seconds; `None` if it is not judged.
    pub(crate) fn max_age_s(&self) -> Option<i64> {
        self.max_age.map(seconds)
    }
}

/// A time in seconds.
pub(crate) fn seconds(span: Span) -> i64 {
    i64::try_from(span.0.as_secs()).unwrap_or(i64::MAX)
}

/// Whether the schedules of the configuration are cron expressions, and its patterns for names say
/// when.
pub(crate) fn check_times(backups: &[Backup]) -> Result<(), Failure> {
    for (backup, pattern) in backups
        .iter()
        .filter_map(|backup| Some((backup, backup.dated.as_deref()?)))
    {
        if !is_pattern(pattern) {
            return Err(Failure::usage(format!(
                "dated = {pattern:?} of backup {:?} does not say on which day",
                backup.name
            ))
            .hint("write the whole name by the letters of date: shop-%Y-%m-%d_%H%M%S.dump"));
        }
    }
    for (backup, schedule) in backups
        .iter()
        .filter_map(|backup| Some((backup, backup.schedule.as_deref()?)))
    {
        let wrong = |why: String| {
            Failure::usage(format!(
                "the schedule {schedule:?} of backup {:?} {why}",
                backup.name
            ))
            .hint("write it as in a crontab: minute hour day month weekday, such as 30 2 * * *")
        };
        let cron =
            parse(schedule).map_err(|error| wrong(format!("is no cron expression: {error}")))?;
        last(&cron, &Zoned::now())
            .ok_or_else(|| wrong("names no time that ever was".to_owned()))?;
    }
    Ok(())
}

fn parse(schedule: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .build()
        .parse(schedule)
}

/// The last time of a schedule that must have left a backup by now.
fn last(cron: &Cron, now: &Zoned) -> Option<Zoned> {
    let late = now.checked_sub(LATE).ok()?;
    cron.find_previous_occurrence(&late, true).ok()
}

impl Freshness {
    /// As a check.
    pub(crate) fn check(&self, object: &str) -> Check {
        let check = Check::new(FRESH, object, self.status, &self.message);
        if self.status == Status::Fail {
            return check
                .hint("see why the job that makes this backup has not run, and make one now");
        }
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn limit() -> Due {
        Due {
            max_age: Some(Span::seconds(86_400)),
            why: "24h is the limit".to_owned(),
        }
    }

    #[test]
    fn the_manifest_s_time_counts_before_all_others() {
        let now = time("2026-11-22T16:00:00Z");
        let status = |made| judge_sealed(now, time(made), &limit()).status;
        assert_eq!(status("2026-11-22T15:00:00Z"), Status::Pass);
        assert_eq!(status("2026-11-21T15:00:00Z"), Status::Fail);
        assert_eq!(status("2026-11-22T16:05:00Z"), Status::Unknown);
    }

    #[test]
    fn a_schedule_says_when_the_last_one_was_due() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let due = |schedule, now: &str| {
            let last = last(
                &parse(schedule).expect("a schedule"),
                &time(now).to_zoned(berlin.clone()),
            );
            last.expect("a time").timestamp().to_string()
        };
        assert_eq!(
            due("30 2 * * *", "2026-11-22T16:00:00Z"),
            "2026-11-22T01:30:00Z"
        );
        assert_eq!(
            due("30 2 * * *", "2026-11-22T02:29:00Z"),
            "2026-11-21T01:30:00Z",
            "an hour to make it"
        );
        assert_eq!(
            due("30 2 * * *", "2026-11-22T02:30:00Z"),
            "2026-11-22T01:30:00Z"
        );
        assert_eq!(
            due("0 3 * * 1-5", "2026-11-22T16:00:00Z"),
            "2026-11-20T02:00:00Z",
            "not on Sunday"
        );
        assert_eq!(
            due("30 2 * * *", "2026-07-22T16:00:00Z"),
            "2026-07-22T00:30:00Z",
            "summer time"
        );
        for wrong in ["", "every day", "61 * * * *", "0 0 2 * * *"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    fn dates(modified: &str, name: &str, pattern: Option<&str>) -> Dates {
        Dates {
            modified: time(modified),
            header: None,
            name: NameDate::of(name, pattern),
        }
    }

    fn with_header(modified: &str, header: &str) -> Dates {
        Dates {
            header: Stamp::local(header.parse().expect("a moment")),
            ..dates(modified, "db.dump", None)
        }
    }

    const NOW: &str = "2026-11-22T16:00:00Z";

    #[test]
    fn age_counts_from_the_modification_time() {
        let judge = |modified| judge(time(NOW), &dates(modified, "db.dump", None), &limit());
        let fresh = judge("2026-11-22T15:00:00Z");
        assert_eq!((fresh.status, fresh.age.age_s), (Status::Pass, 3600));
        let old = judge("2026-11-21T15:59:59Z");
        assert_eq!((old.status, old.age.age_s), (Status::Fail, 86_401));
        let status = judge("2026-11-21T16:00:00Z").status;
        assert_eq!(status, Status::Pass, "the limit itself passes");
    }

    #[test]
    fn a_name_does_not_make_a_fresh_file_old_unless_it_is_asked() {
        let judge = |name, pattern| {
            judge(
                time(NOW),
                &dates("2026-11-22T15:00:00Z", name, pattern),
                &limit(),
            )
        };
        for name in [
            "shop-2024.01.15-nightly.dump",
            "1700000000_2023_11_14_16.6.0_gitlab_backup.tar",
            "db-2026-11-20.dump",
        ] {
            assert_eq!(judge(name, None).status, Status::Pass, "{name}");
        }
        let copied = judge("20261101T000000Z.dump", None);
        assert_eq!(copied.status, Status::Warn, "{}", copied.message);
        let asked = |name| judge(name, Some("db-%Y-%m-%d.dump")).status;
        assert_eq!(asked("db-2026-11-20.dump"), Status::Fail);
        assert_eq!(asked("db-2026-11-22.dump"), Status::Pass);
        assert_eq!(
            asked("db-2026-11-23.dump"),
            Status::Pass,
            "today in Kiribati"
        );
        assert_eq!(asked("db-2026-11-25.dump"), Status::Unknown);
        assert_eq!(asked("db.dump"), Status::Unknown, "of another form");
    }

    #[test]
    fn a_header_far_older_than_the_limit_is_not_fresh() {
        let judge = |header| {
            judge(
                time(NOW),
                &with_header("2026-11-22T15:00:00Z", header),
                &limit(),
            )
        };
        assert_eq!(judge("2026-11-22T02:30:00").status, Status::Pass);
        assert_eq!(
            judge("2026-11-21T05:00:00").status,
            Status::Pass,
            "somewhere it is today"
        );
        let old = judge("2026-11-20T15:00:00");
        assert_eq!(old.status, Status::Fail);
        assert!(old.message.contains("by its own header"), "{}", old.message);
        assert_eq!(judge("2026-11-25T00:00:00").status, Status::Unknown);
    }

    #[test]
    fn the_future_is_unknown_and_does_not_hide_old_age() {
        let status = |dates: &Dates| judge(time(NOW), dates, &limit()).status;
        let plain = |modified| dates(modified, "db.dump", None);
        let skew = plain("2026-11-22T16:00:30Z");
        assert_eq!(status(&skew), Status::Pass, "clocks differ a little");
        assert_eq!(status(&plain("2026-11-22T16:01:01Z")), Status::Unknown);
        let old = dates(
            "2027-11-22T15:00:00Z",
            "db-20261101.dump",
            Some("db-%Y%m%d.dump"),
        );
        assert_eq!(status(&old), Status::Fail);
    }
}
