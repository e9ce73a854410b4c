//! Durations in the configuration.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// A duration, written with its unit: `100ms`, `15m`, `24h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    pub const fn milliseconds(milliseconds: u64) -> Span {
        Span(Duration::from_millis(milliseconds))
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration such as 100ms, 15m, 24h or 7d")]
pub struct NotASpan(String);

impl std::str::FromStr for Span {
    type Err = NotASpan;
    fn from_str(text: &str) -> Result<Span, NotASpan> {
        let days = |text: &str| -> Option<Duration> {
            let days: u64 = text.strip_suffix('d')?.parse().ok()?;
            Some(Duration::from_secs(days.checked_mul(24 * 60 * 60)?))
        };
        let other = |text: &str| Duration::try_from(text.parse::<SignedDuration>().ok()?).ok();
        days(text)
            .or_else(|| other(text))
            .map(Span)
            .ok_or_else(|| NotASpan(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(duration) => write!(f, "{duration:#}"),
            Err(_) => write!(f, "{} s", self.0.as_secs()),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["100ms", "15m", "24h"] })
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn units_are_required_and_negative_is_refused() {
        assert_eq!("24h".parse(), Ok(Span::seconds(86_400)));
        assert_eq!("100ms".parse(), Ok(Span::milliseconds(100)));
        assert_eq!("7d".parse(), Ok(Span::seconds(7 * 86_400)));
        assert!("1.5d".parse::<Span>().is_err());
        assert!("24".parse::<Span>().is_err());
        assert!("-5m".parse::<Span>().is_err());
        assert_eq!(Span::seconds(900).to_string(), "15m");
    }
}
