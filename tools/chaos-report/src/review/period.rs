//! The time that a review is of, in UTC.

use std::fmt;
use std::str::FromStr;

use chaos_common::record::Time;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Unit};

/// Days of UTC, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) first: Date,
    pub(crate) last: Date,
}

/// A month, a quarter or a year of UTC, or other days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// Written as `2026-11`.
    Month { year: i16, month: i8 },
    /// Written as `2026-Q4`.
    Quarter { year: i16, quarter: i8 },
    /// Written as `2026`.
    Year { year: i16 },
    /// Written as `2026-11-01..2026-11-15`.
    Days(Days),
}

impl Days {
    pub(crate) fn hold(self, time: Time) -> bool {
        let day = day(time);
        self.first <= day && day <= self.last
    }
}

/// The day of UTC.
pub(crate) fn day(time: Time) -> Date {
    time.0.to_zoned(TimeZone::UTC).date()
}

impl Period {
    /// The month that holds this day.
    pub(crate) fn month(day: Date) -> Period {
        let (year, month) = (day.year(), day.month());
        Period::Month { year, month }
    }

    /// The days from one time to another.
    pub(crate) fn between(first: Time, last: Time) -> Period {
        Period::Days(Days {
            first: day(first),
            last: day(last),
        })
    }

    /// The quarter that holds this day.
    pub(crate) fn quarter(day: Date) -> Period {
        let quarter = (day.month() - 1) / 3 + 1;
        Period::Quarter {
            year: day.year(),
            quarter,
        }
    }

    /// The year that holds this day.
    pub(crate) fn year(day: Date) -> Period {
        Period::Year { year: day.year() }
    }

    pub(crate) fn days(self) -> Days {
        let (first, length) = match self {
            Period::Month { year, month } => (date(year, month, 1), 1.month()),
            Period::Quarter { year, quarter } => (date(year, 3 * quarter - 2, 1), 3.months()),
            Period::Year { year } => (date(year, 1, 1), 1.year()),
            Period::Days(days) => return days,
        };
        let last = first.saturating_add(length).saturating_sub(1.day());
        Days { first, last }
    }

    /// The one before, of the same length.
    pub(crate) fn previous(self) -> Period {
        let days = self.days();
        let before = days.first.saturating_sub(1.day());
        match self {
            Period::Month { .. } => Period::month(before),
            Period::Quarter { .. } => Period::quarter(before),
            Period::Year { .. } => Period::year(before),
            Period::Days(_) => {
                let length = days.last.since((Unit::Day, days.first)).unwrap_or_default();
                Period::Days(Days {
                    first: before.saturating_sub(length),
                    last: before,
                })
            }
        }
    }

    /// The months that it holds some day of.
    pub(crate) fn months(self) -> Vec<Period> {
        let days = self.days();
        let mut months = vec![Period::month(days.first)];
        let mut day = days.first.first_of_month().saturating_add(1.month());
        while day <= days.last {
            months.push(Period::month(day));
            day = day.saturating_add(1.month());
        }
        months
    }
}

/// A text that is no period.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub(crate) struct NotAPeriod {
    text: String,
    wanted: &'static str,
}

/// A month on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Month(pub(crate) Period);
/// A quarter on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quarter(pub(crate) Period);
/// A year on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Year(pub(crate) Period);

impl FromStr for Month {
    type Err = NotAPeriod;
    fn from_str(text: &str) -> Result<Month, NotAPeriod> {
        let parts = text.split_once('-');
        let month = parts.and_then(|(year, month)| Some((number(year, 4)?, number(month, 2)?)));
        let month = month.and_then(|(year, month)| {
            let month = i8::try_from(month)
                .ok()
                .filter(|it| (1..=12).contains(it))?;
            Some(Month(Period::Month { year, month }))
        });
        month.ok_or_else(|| wrong(text, "a month such as 2026-11"))
    }
}

impl FromStr for Quarter {
    type Err = NotAPeriod;
    fn from_str(text: &str) -> Result<Quarter, NotAPeriod> {
        let parts = text.split_once("-Q");
        let quarter = parts.and_then(|(year, number_of)| {
            let quarter = i8::try_from(number(number_of, 1)?).ok()?;
            let year = number(year, 4)?;
            (1..=4)
                .contains(&quarter)
                .then_some(Quarter(Period::Quarter { year, quarter }))
        });
        quarter.ok_or_else(|| wrong(text, "a quarter such as 2026-Q4"))
    }
}

impl FromStr for Year {
    type Err = NotAPeriod;
    fn from_str(text: &str) -> Result<Year, NotAPeriod> {
        let year = number(text, 4).map(|year| Year(Period::Year { year }));
        year.ok_or_else(|| wrong(text, "a year such as 2026"))
    }
}

/// A number from 1 on, of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    number.filter(|number| *number > 0)
}

fn wrong(text: &str, wanted: &'static str) -> NotAPeriod {
    NotAPeriod {
        text: text.to_owned(),
        wanted,
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Month { year, month } => write!(f, "{year:04}-{month:02}"),
            Period::Quarter { year, quarter } => write!(f, "{year:04}-Q{quarter}"),
            Period::Year { year } => write!(f, "{year:04}"),
            Period::Days(Days { first, last }) => write!(f, "{first}..{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(period: Period) -> String {
        let days = period.days();
        format!("{period} {} {}", days.first, days.last)
    }

    #[test]
    fn periods_know_their_days_and_the_one_before() {
        let month = "2026-01".parse::<Month>().expect("a month").0;
        assert_eq!(words(month), "2026-01 2026-01-01 2026-01-31");
        assert_eq!(words(month.previous()), "2025-12 2025-12-01 2025-12-31");
        let quarter = "2028-Q1".parse::<Quarter>().expect("a quarter").0;
        assert_eq!(words(quarter), "2028-Q1 2028-01-01 2028-03-31");
        assert_eq!(words(quarter.previous()), "2027-Q4 2027-10-01 2027-12-31");
        let year = "2026".parse::<Year>().expect("a year").0;
        assert_eq!(words(year.previous()), "2025 2025-01-01 2025-12-31");
        let days = Period::Days(Days {
            first: date(2026, 11, 10),
            last: date(2026, 11, 12),
        });
        assert_eq!(
            words(days.previous()),
            "2026-11-07..2026-11-09 2026-11-07 2026-11-09"
        );
        assert_eq!(quarter.months().len(), 3);
    }

    #[test]
    fn a_time_is_in_the_month_of_utc() {
        let time: Time = serde_json::from_str("\"2026-12-31T23:30:00-01:00\"").expect("RFC 3339");
        let december = "2026-12".parse::<Month>().expect("a month").0;
        let january = "2027-01".parse::<Month>().expect("a month").0;
        assert!(january.days().hold(time) && !december.days().hold(time));
    }

    #[test]
    fn what_is_no_period_is_refused() {
        for text in [
            "2026-13", "2026-00", "2026", "26-11", "2026-1", "+026-01", "0000-01",
        ] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        for text in ["2026-Q0", "2026-Q5", "2026-Q", "2026-4", "2026-Q44"] {
            assert!(text.parse::<Quarter>().is_err(), "{text}");
        }
        for text in ["26", "x", "0000", "2026-01"] {
            assert!(text.parse::<Year>().is_err(), "{text}");
        }
    }
}
