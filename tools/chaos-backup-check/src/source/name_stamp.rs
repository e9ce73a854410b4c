//! The moment that a file's name, or its header, gives: when a backup was made.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Local time is at most so far ahead of UTC (Kiribati).
const AHEAD: SignedDuration = SignedDuration::from_hours(14);
/// Local time is at most so far behind UTC (Baker Island).
const BEHIND: SignedDuration = SignedDuration::from_hours(12);
/// A stamp without a time of day means some moment in so long.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a file's name, or its own header, says of when it was made: some moment between these two.
/// They are the same where there is date, time and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) earliest: Timestamp,
    pub(crate) latest: Timestamp,
}

impl Stamp {
    /// A moment in the local time of some place.
    pub(crate) fn local(moment: DateTime) -> Option<Stamp> {
        let moment = utc(moment)?;
        Some(Stamp {
            earliest: moment - AHEAD,
            latest: moment + BEHIND,
        })
    }

    /// A moment in UTC.
    fn utc(moment: DateTime) -> Option<Stamp> {
        utc(moment).map(Stamp::exact)
    }

    fn exact(moment: Timestamp) -> Stamp {
        Stamp {
            earliest: moment,
            latest: moment,
        }
    }

    /// Some moment of a day at some place.
    fn day(day: Date) -> Option<Stamp> {
        let start = Stamp::local(day.at(0, 0, 0, 0))?;
        Some(Stamp {
            latest: start.latest + DAY,
            ..start
        })
    }

    /// By a pattern that the whole name follows, in the letters of `strptime`; a `Z` behind the time
    /// means UTC. `None` if the name does not follow it.
    pub(crate) fn by_pattern(name: &str, pattern: &str) -> Option<Stamp> {
        let parsed = BrokenDownTime::parse(pattern, name).ok()?;
        if let Ok(moment) = parsed.to_timestamp() {
            return Some(Stamp::exact(moment));
        }
        let day = parsed.to_date().ok()?;
        if parsed.hour().is_none() {
            return Stamp::day(day);
        }
        let part = |part: Option<i8>| part.unwrap_or_default();
        let moment = day.at(
            part(parsed.hour()),
            part(parsed.minute()),
            part(parsed.second()),
            0,
        );
        let zulu = ["%SZ", "%MZ", "%HZ", "%TZ"]
            .iter()
            .any(|end| pattern.contains(end));
        if zulu {
            Stamp::utc(moment)
        } else {
            Stamp::local(moment)
        }
    }

    /// Of a name that is nothing but date and time and the kinds of file behind it:
    /// `20261122T160000Z.dump`, `2026-11-22_16-00-00.tar.gz`.
    pub(crate) fn plain(name: &str) -> Option<Stamp> {
        let (date, rest) = date(name.as_bytes())?;
        let (time, zulu, rest) = time_of_day(rest)?;
        let kinds = rest.is_empty() || (rest[0] == b'.' && !rest.iter().any(u8::is_ascii_digit));
        let moment = date.to_datetime(time);
        match (kinds, zulu) {
            (false, _) => None,
            (true, true) => Stamp::utc(moment),
            (true, false) => Stamp::local(moment),
        }
    }
}

/// Why a pattern for names does not say when: it has no date, or letters that mean nothing.
pub(crate) fn is_pattern(pattern: &str) -> bool {
    let now = jiff::Zoned::now();
    let written = jiff::fmt::strtime::format(pattern, &now);
    written.is_ok_and(|name| Stamp::by_pattern(&name, pattern).is_some())
}

/// Year, month and day, apart by the same character or by none.
fn date(text: &[u8]) -> Option<(Date, &[u8])> {
    let (year, rest) = digits(text, 4)?;
    let (separated, rest) = separator(rest, b"-_.");
    let (month, rest) = two_digits(rest)?;
    let rest = if separated { rest.get(1..)? } else { rest };
    let (day, rest) = two_digits(rest)?;
    let known = (1990..2200).contains(&year);
    let date = Date::new(year, month, day).ok().filter(|_| known)?;
    Some((date, rest))
}

/// The time, whether its zone is UTC, and what stands behind it.
fn time_of_day(text: &[u8]) -> Option<(Time, bool, &[u8])> {
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
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let time = Time::new(hour, minute, second, 0).ok()?;
    let zone = ["Z", "z", "UTC"]
        .iter()
        .find_map(|zone| rest.strip_prefix(zone.as_bytes()));
    Some((time, zone.is_some(), zone.unwrap_or(rest)))
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

    #[test]
    fn a_name_that_is_a_moment_is_known() {
        for name in [
            "20261122T160000Z.dump",
            "2026-11-22T16:00:00Z",
            "2026-11-22_16-00-00Z.tar.gz",
            "20261122-160000UTC.dump",
            "20261122T1600Z.sql",
        ] {
            let exact = Stamp::exact(time("2026-11-22T16:00:00Z"));
            assert_eq!(Stamp::plain(name), Some(exact), "{name}");
        }
        let local = Stamp::plain("2026-11-22_16-00-00.dump").expect("a moment");
        assert_eq!(local.earliest, time("2026-11-22T02:00:00Z"));
        assert_eq!(local.latest, time("2026-11-23T04:00:00Z"));
    }

    #[test]
    fn names_of_versions_and_of_more_than_a_moment_are_none() {
        for name in [
            "latest.dump",
            "shop-2024.01.15-nightly.dump",
            "2024.01.15.dump",
            "2024.01.15-nightly.dump",
            "1700000000_2023_11_14_16.6.0_gitlab_backup.tar",
            "2023_11_14_16.6.0_gitlab_backup.tar",
            "ecommerce-20261122T160000Z.dump",
            "20261122.dump",
            "20261322T160000Z.dump",
            "2026-02-30_10-00-00.dump",
            "2026-11-22_25-00-00.dump",
            "123456789.dump",
            "v2-2026.11.22.1600.dump",
        ] {
            assert_eq!(Stamp::plain(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_may_follow_a_pattern() {
        let stamp = Stamp::by_pattern("shop-20261122T160000Z.dump", "shop-%Y%m%dT%H%M%SZ.dump");
        assert_eq!(stamp, Some(Stamp::exact(time("2026-11-22T16:00:00Z"))));
        let zoned = Stamp::by_pattern("x-2026-11-22T1600+0200", "x-%Y-%m-%dT%H%M%z");
        assert_eq!(zoned, Some(Stamp::exact(time("2026-11-22T14:00:00Z"))));
        let local = Stamp::by_pattern("shop_2026-11-22_16-00.dump", "shop_%Y-%m-%d_%H-%M.dump");
        assert_eq!(
            local.expect("a moment").latest,
            time("2026-11-23T04:00:00Z")
        );
        let day = Stamp::by_pattern("shop-2026-11-22.dump", "shop-%Y-%m-%d.dump").expect("a day");
        assert_eq!(day.earliest, time("2026-11-21T10:00:00Z"));
        assert_eq!(day.latest, time("2026-11-23T12:00:00Z"));
        for other in [
            "shop-2026-11-22.dump.gz",
            "shop.dump",
            "x-shop-2026-11-22.dump",
        ] {
            assert_eq!(
                Stamp::by_pattern(other, "shop-%Y-%m-%d.dump"),
                None,
                "{other}"
            );
        }
    }

    #[test]
    fn patterns_say_a_day_at_least() {
        for pattern in ["%Y%m%d", "x-%s.tar", "db-%F_%H%M%S.dump"] {
            assert!(is_pattern(pattern), "{pattern}");
        }
        for pattern in ["shop.dump", "%H%M", "%Q%", "shop-%Y.dump"] {
            assert!(!is_pattern(pattern), "{pattern}");
        }
    }
}
