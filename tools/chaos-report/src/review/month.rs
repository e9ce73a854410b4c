//! A month of UTC.

use std::fmt;
use std::str::FromStr;

use chaos_common::record::Time;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A month, written as `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month that this machine's clock is in.
    pub(crate) fn current() -> Month {
        Month::of(Time::now())
    }

    /// The month that holds this time.
    pub(crate) fn of(time: Time) -> Month {
        let date = time.0.to_zoned(TimeZone::UTC);
        Month {
            year: date.year(),
            month: date.month(),
        }
    }

    /// The one before.
    pub(crate) fn previous(self) -> Month {
        if self.month == 1 {
            Month {
                year: self.year - 1,
                month: 12,
            }
        } else {
            Month {
                year: self.year,
                month: self.month - 1,
            }
        }
    }

    /// The month that stands in the name of an archived file, if one does.
    pub(crate) fn of_file(name: &str) -> Option<Month> {
        let (year, month) = (name.get(..4)?, name.get(4..6)?);
        format!("{year}-{month}").parse().ok()
    }
}

/// A text that is no month.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a month such as 2026-11")]
pub(crate) struct NotAMonth {
    text: String,
}

impl FromStr for Month {
    type Err = NotAMonth;
    fn from_str(text: &str) -> Result<Month, NotAMonth> {
        let wrong = || NotAMonth {
            text: text.to_owned(),
        };
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let digits =
            |text: &str, n| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(wrong());
        }
        let (year, month) = (
            year.parse().map_err(|_| wrong())?,
            month.parse().map_err(|_| wrong())?,
        );
        Date::new(year, month, 1).map_err(|_| wrong())?;
        // A year before the first would have no previous month.
        if year < 1 {
            Err(wrong())
        } else {
            Ok(Month { year, month })
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::Month;
    use chaos_common::record::Time;

    #[test]
    fn months_are_of_utc_and_know_the_one_before() {
        let time: Time = serde_json::from_str("\"2026-12-31T23:30:00-01:00\"").expect("RFC 3339");
        assert_eq!(Month::of(time).to_string(), "2027-01");
        assert_eq!(Month::of(time).previous().to_string(), "2026-12");
        assert_eq!(
            "2026-11".parse::<Month>().map(Month::previous),
            "2026-10".parse()
        );
        for wrong in [
            "2026-13", "2026-00", "2026", "26-11", "2026-1", "+026-01", "0000-01", "x",
        ] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn files_carry_their_month_in_the_name() {
        assert_eq!(
            Month::of_file("20261122T160000Z-x-1.ndjson"),
            "2026-11".parse().ok()
        );
        assert_eq!(Month::of_file("notes.ndjson"), None);
        assert_eq!(Month::of_file("übergröße.ndjson"), None);
    }
}
