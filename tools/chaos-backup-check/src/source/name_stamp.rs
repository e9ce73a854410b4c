//! The moment that a file's name gives: when a backup was made, by its name.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Local time is at most so far ahead of UTC (Kiribati).
const AHEAD: SignedDuration = SignedDuration::from_hours(14);
/// Local time is at most so far behind UTC (Baker Island).
const BEHIND: SignedDuration = SignedDuration::from_hours(12);
/// A stamp without a time of day means some moment in so long.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a file's name says of when it was made: some moment between these two. They are the same
/// where the name has date, time and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

/// Finds the stamp in a file's name, such as `20261122T160000Z`, `2026-11-22_16-00-00`,
/// `20261122-1600` or `2026-11-22`; the last one if there are several.
pub(crate) fn stamp(name: &str) -> Option<Stamp> {
    let bytes = name.as_bytes();
    let starts = (0..bytes.len()).rev();
    starts
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()))
        .find_map(|at| stamp_at(&bytes[at..]))
}

fn stamp_at(text: &[u8]) -> Option<Stamp> {
    let (year, rest) = digits(text, 4)?;
    let (separator, rest) = separator(rest, b"-_.");
    let (month, rest) = two_digits(rest)?;
    let rest = if separator { rest.get(1..)? } else { rest };
    let (day, rest) = two_digits(rest)?;
    if !(1990..2200).contains(&year) {
        return None;
    }
    let date = |hour, minute, second| DateTime::new(year, month, day, hour, minute, second, 0).ok();
    let midnight = date(0, 0, 0)?;
    if let Some((hour, minute, second, zulu)) = time_of_day(rest) {
        let moment = utc(date(hour, minute, second)?)?;
        if zulu {
            return Some(Stamp {
                earliest: moment,
                latest: moment,
            });
        }
        return Some(Stamp {
            earliest: moment - AHEAD,
            latest: moment + BEHIND,
        });
    }
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let start = utc(midnight)?;
    Some(Stamp {
        earliest: start - AHEAD,
        latest: start + DAY + BEHIND,
    })
}

/// Hour, minute, second, and whether the zone is UTC.
fn time_of_day(text: &[u8]) -> Option<(i8, i8, i8, bool)> {
    let (_, text) = separator(text, b"Tt_-. @");
    let (hour, rest) = two_digits(text)?;
    let (separated, rest) = separator(rest, b":-_.");
    let (minute, rest) = two_digits(rest)?;
    let with_second = if separated {
        separator(rest, b":-_.").1
    } else {
        rest
    };
    let (second, rest) = two_digits(with_second).unwrap_or((0, rest));
    if rest.first().is_some_and(u8::is_ascii_digit) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zulu = rest.starts_with(b"Z") || rest.starts_with(b"z") || rest.starts_with(b"UTC");
    Some((hour, minute, second, zulu))
}

fn utc(time: DateTime) -> Option<Timestamp> {
    time.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

fn digits(text: &[u8], number: usize) -> Option<(i16, &[u8])> {
    let (digits, rest) = text.split_at_checked(number)?;
    let all = digits.iter().all(u8::is_ascii_digit);
    let value = digits.iter().fold(0_i16, |value, digit| {
        value * 10 + i16::from(digit.wrapping_sub(b'0') & 15)
    });
    all.then_some((value, rest))
}

fn two_digits(text: &[u8]) -> Option<(i8, &[u8])> {
    let (value, rest) = digits(text, 2)?;
    Some((i8::try_from(value).ok()?, rest))
}

fn separator<'t>(text: &'t [u8], any: &[u8]) -> (bool, &'t [u8]) {
    match text.split_first() {
        Some((first, rest)) if any.contains(first) => (true, rest),
        _ => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn exact(name: &str) -> Option<String> {
        stamp(name)
            .filter(|stamp| stamp.earliest == stamp.latest)
            .map(|stamp| stamp.latest.to_string())
    }

    #[test]
    fn stamps_with_a_zone_are_exact() {
        for name in [
            "ecommerce-20261122T160000Z.dump",
            "ecommerce-2026-11-22T16:00:00Z.dump",
            "2026-11-22_16-00-00Z",
            "v20240101-20261122160000Z.tar.gz",
            "x.20261122-160000UTC.dump",
            "x-20261122T1600Z",
        ] {
            assert_eq!(
                exact(name).as_deref(),
                Some("2026-11-22T16:00:00Z"),
                "{name}"
            );
        }
    }

    #[test]
    fn stamps_without_a_zone_or_time_allow_for_every_zone() {
        let local = stamp("db_2026-11-22_16-00-00.dump").expect("a stamp");
        assert_eq!(local.earliest, time("2026-11-22T02:00:00Z"));
        assert_eq!(local.latest, time("2026-11-23T04:00:00Z"));
        let day = stamp("db-20261122.dump").expect("a stamp");
        assert_eq!(day.earliest, time("2026-11-21T10:00:00Z"));
        assert_eq!(day.latest, time("2026-11-23T12:00:00Z"));
        assert_eq!(stamp("db-2026-11-22.dump"), Some(day));
        assert_eq!(
            stamp("db-2026-11-22.10.dump").map(|s| s.latest),
            Some(day.latest),
            "10 is no time of day"
        );
    }

    #[test]
    fn numbers_that_are_no_date_are_no_stamp() {
        for name in [
            "latest.dump",
            "db-20261322.dump",
            "db-123456789.dump",
            "app-1.2.3.tar",
            "2026-02-30.dump",
            "1-2",
        ] {
            assert_eq!(stamp(name), None, "{name}");
        }
    }
}
