//! What a good HTTP answer is: the one definition for health checks, for probes during a fault, for
//! recovery and for load.
//!
//! Where nothing is configured, a status in the 200s is good. A redirect (3xx) is not: nothing
//! follows it, so it says nothing about what it leads to. A Service whose health path redirects on
//! purpose has `expect = { status = 307 }`, and that holds before, during and after a fault.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;

/// What an answer to an HTTP request must be: `expect = { status = 204, body = "ok", within =
/// "500ms" }`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Its status; any in the 200s if left out.
    pub status: Option<u16>,
    /// Text that its body must hold.
    pub body: Option<String>,
    /// Longest time that it may take, from the request to the end of the body.
    pub within: Option<Span>,
}

/// How an answer differs from what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deviation {
    /// Another status.
    #[error("answers {status}{}", .expected.map(|s| format!("; {s} is wanted")).unwrap_or_default())]
    Status {
        /// Of the answer.
        status: u16,
        /// As configured; any in the 200s if `None`.
        expected: Option<u16>,
    },
    /// The body does not hold the text.
    #[error("answers {status}, but its body does not hold {text:?}")]
    Body {
        /// Of the answer.
        status: u16,
        /// As configured.
        text: String,
    },
    /// It came too late.
    #[error("answers {status}, but in {} ms; at most {within} is wanted", .elapsed.as_millis())]
    Late {
        /// Of the answer.
        status: u16,
        /// Time that the answer took.
        elapsed: Duration,
        /// As configured.
        within: Span,
    },
}

impl Expectation {
    /// The status alone is good: for those who don't read bodies.
    pub fn accepts_status(&self, status: u16) -> bool {
        self.status
            .map_or((200..300).contains(&status), |expected| expected == status)
    }

    /// How an answer differs from what is expected; `None` for a good one.
    pub fn deviation(&self, status: u16, body: &[u8], elapsed: Duration) -> Option<Deviation> {
        if !self.accepts_status(status) {
            let expected = self.status;
            return Some(Deviation::Status { status, expected });
        }
        if let Some(text) = self.body.as_ref().filter(|text| !holds(body, text)) {
            let text = text.clone();
            return Some(Deviation::Body { status, text });
        }
        let within = self.within.filter(|within| elapsed > within.0)?;
        Some(Deviation::Late {
            status,
            elapsed,
            within,
        })
    }
}

fn holds(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deviation(toml: &str, status: u16, body: &str, ms: u64) -> Option<String> {
        let expectation: Expectation = toml::from_str(toml).expect("an expectation");
        let deviation = expectation.deviation(status, body.as_bytes(), Duration::from_millis(ms));
        deviation.map(|deviation| deviation.to_string())
    }

    #[test]
    fn without_a_configuration_the_200s_are_good_and_a_redirect_is_not() {
        assert_eq!(deviation("", 200, "", 1), None);
        assert_eq!(deviation("", 204, "", 1), None);
        assert_eq!(deviation("", 307, "", 1).as_deref(), Some("answers 307"));
        assert_eq!(deviation("", 404, "", 1).as_deref(), Some("answers 404"));
        assert_eq!(deviation("", 503, "", 1).as_deref(), Some("answers 503"));
    }

    #[test]
    fn an_expected_status_is_the_only_good_one() {
        assert_eq!(deviation("status = 307", 307, "", 1), None);
        let other = deviation("status = 307", 200, "", 1);
        assert_eq!(other.as_deref(), Some("answers 200; 307 is wanted"));
    }

    #[test]
    fn body_and_time_count_besides() {
        let expect = "body = 'ok'\nwithin = '500ms'";
        assert_eq!(deviation(expect, 200, "all ok", 500), None);
        let body = deviation(expect, 200, "no", 1);
        let text = "answers 200, but its body does not hold \"ok\"";
        assert_eq!(body.as_deref(), Some(text));
        let late = deviation(expect, 200, "ok", 501).expect("too late");
        assert!(late.starts_with("answers 200, but in 501 ms"), "{late}");
    }
}
