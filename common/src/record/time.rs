//! Points in time as records carry them.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A point in time: UTC, written as RFC 3339 with milliseconds (`2026-11-22T16:00:00.123Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// Now, by this machine's clock.
    pub fn now() -> Time {
        Time(Timestamp::now())
    }

    /// Milliseconds from `earlier` to this time; negative where `earlier` is later.
    pub fn since_ms(self, earlier: Time) -> i64 {
        self.0.as_millisecond() - earlier.0.as_millisecond()
    }

    /// For people: `2026-11-22 16:00:00 UTC`.
    pub fn human(self) -> String {
        self.0.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map(Time).map_err(de::Error::custom)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn always_shows_milliseconds_and_utc() {
        let time: Time = serde_json::from_str("\"2026-11-22T17:00:00+01:00\"").expect("RFC 3339");
        assert_eq!(time.to_string(), "2026-11-22T16:00:00.000Z");
    }
}
