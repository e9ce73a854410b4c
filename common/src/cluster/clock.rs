//! The API server's clock beside this machine's.
//!
//! Ages of objects are differences between times that the cluster wrote and now, so now must be the
//! cluster's. Its nodes are taken to agree with it.

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

use crate::cluster::{Cluster, ReadError};
use crate::record::Time;

/// The API server's clock, as seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// How far it is ahead of this machine's, in milliseconds; 0 where the difference may as well
    /// be none.
    pub ahead_ms: i64,
}

impl Clock {
    /// Clocks that are no further apart are taken for one, in milliseconds: a Date has whole
    /// seconds.
    const SAME_MS: i64 = 3_000;

    /// From the times of a question and its answer here, and the second of the answer there.
    fn between(asked: i64, answered: i64, there: i64) -> Clock {
        // It was written in the course of that second, and at some time between the two.
        let ahead_ms = there + 500 - i64::midpoint(asked, answered);
        let unsure = Clock::SAME_MS + (answered - asked) / 2;
        Clock {
            ahead_ms: if ahead_ms.abs() > unsure { ahead_ms } else { 0 },
        }
    }

    /// Now, by the API server's clock.
    pub fn now(self) -> Time {
        self.there(Time::now())
    }

    /// A time of this machine as the API server would write it.
    pub fn there(self, here: Time) -> Time {
        Time(
            here.0
                .saturating_add(SignedDuration::from_millis(self.ahead_ms))
                .unwrap_or(here.0),
        )
    }

    /// How this machine's clock differs, as in "12 s behind"; `None` if it does not.
    pub fn apart(self) -> Option<String> {
        let seconds = (self.ahead_ms.abs() + 500) / 1000;
        let side = if self.ahead_ms > 0 {
            "behind"
        } else {
            "ahead of"
        };
        (self.ahead_ms != 0).then(|| format!("{seconds} s {side}"))
    }
}

impl Cluster {
    /// The API server's clock beside this machine's.
    ///
    /// # Errors
    /// It does not answer, or does not say what time it is.
    ///
    /// # Panics
    /// Never: the request is made of valid parts.
    pub async fn clock(&self) -> Result<Clock, ReadError> {
        let what = "learn the API server's time";
        let ask = || async {
            let request = http::Request::get("/version").body(kube::client::Body::empty());
            let start = Timestamp::now();
            let answer = self
                .client
                .send(request.expect("the path is made of valid parts"))
                .await?;
            Ok((
                start,
                Timestamp::now(),
                answer.headers().get(http::header::DATE).cloned(),
            ))
        };
        let (start, end, date) = self.read(what, ask).await?;
        let date = date.as_ref().and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        let date = date.ok_or_else(|| ReadError::other(what, "its answer holds no Date"))?;
        Ok(Clock::between(
            start.as_millisecond(),
            end.as_millisecond(),
            date.as_millisecond(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_difference_that_can_be_none_other_counts() {
        assert_eq!(Clock::between(10_000, 10_010, 10_000).ahead_ms, 0);
        assert_eq!(Clock::between(10_000, 10_010, 7_000).ahead_ms, 0);
        assert_eq!(Clock::between(10_000, 10_000, 70_000).ahead_ms, 60_500);
        assert_eq!(
            Clock::between(100_000, 100_000, 40_000).apart().as_deref(),
            Some("60 s ahead of")
        );
        // An answer that took eight seconds leaves so much open.
        assert_eq!(Clock::between(10_000, 18_000, 20_000).ahead_ms, 0);
    }
}
