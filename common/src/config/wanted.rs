//! What a good answer of one path of a Service is: one rule for probes during a fault, for response
//! times and for load.

use std::time::Duration;

use super::{DataDeviation, DataPath, Deviation, Expectation, Service};

/// What an answer must be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Statuses that are good, besides those in the 200s; not asked where `answer` or `data` is.
    pub statuses: Vec<u16>,
    /// What is configured of an answer.
    pub answer: Option<Expectation>,
    /// The data that it must hold.
    pub data: Option<DataPath>,
}

/// How an answer differs from what is wanted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotWanted {
    /// It is not the data.
    #[error(transparent)]
    Data(#[from] DataDeviation),
    /// It is not the answer.
    #[error(transparent)]
    Answer(#[from] Deviation),
}

impl Service {
    /// What a good answer of one of its paths is. `expect` is meant for the health path; of other
    /// paths its status is one more that is good. A path that is both health and data must be both.
    pub fn wanted(&self, path: &str) -> Wanted {
        let said = |data: &&DataPath| {
            data.path == path
                && (data.status.is_some() || data.min_items.is_some() || !data.json.is_empty())
        };
        let is_health = self.health.as_deref() == Some(path);
        Wanted {
            statuses: self.expect.status.into_iter().collect(),
            answer: is_health.then(|| self.expect.clone()),
            data: self.data.iter().find(said).cloned(),
        }
    }
}

impl Wanted {
    /// How an answer differs from what is wanted; `None` for a good one.
    pub fn deviation(&self, status: u16, body: &[u8], elapsed: Duration) -> Option<NotWanted> {
        if let Some(data) = &self.data
            && let Err(why) = data.items(status, body)
        {
            return Some(why.into());
        }
        let deviation = match &self.answer {
            Some(answer) => answer.deviation(status, body, elapsed),
            None if self.data.is_some() || self.statuses.contains(&status) => None,
            None => Expectation::default().deviation(status, body, elapsed),
        };
        deviation.map(NotWanted::from)
    }

    /// Whether a body says whether an answer is good.
    pub fn needs_body(&self) -> bool {
        self.data.is_some() || self.answer.as_ref().is_some_and(|one| one.body.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn deviation(wanted: &Wanted, status: u16, body: &str) -> Option<String> {
        let found = wanted.deviation(status, body.as_bytes(), Duration::from_millis(100));
        found.map(|why| why.to_string())
    }

    fn service(more: &str) -> Service {
        toml::from_str(&format!("name = \"s\"\nport = 80\n{more}")).expect("a Service")
    }

    #[test]
    fn what_a_good_answer_is_follows_from_what_the_path_is() {
        let service = service(
            "health = \"/health\"\nexpect = { status = 204, body = \"ok\" }\n\
             data = [\"/list\", { path = \"/full\", min_items = 1 }]",
        );
        let at = |path| service.wanted(path);
        assert!(at("/health").answer.is_some() && at("/health").data.is_none());
        for path in ["/", "/list"] {
            assert!(at(path).answer.is_none() && at(path).data.is_none());
            assert_eq!(at(path).statuses, [204]);
        }
        assert!(at("/full").answer.is_none() && at("/full").data.is_some());
    }

    #[test]
    fn a_path_that_is_health_and_data_must_be_both() {
        let both = service(
            "health = \"/h\"\nexpect = { body = \"ok\" }\n\
             data = [{ path = \"/h\", json = { \"/ready\" = true } }]",
        );
        let wanted = both.wanted("/h");
        assert!(wanted.needs_body());
        assert_eq!(deviation(&wanted, 200, r#"{"ok":1,"ready":true}"#), None);
        assert!(deviation(&wanted, 200, r#"{"ok":1,"ready":false}"#).is_some());
        assert!(deviation(&wanted, 200, r#"{"ready":true}"#).is_some());
    }

    #[test]
    fn the_expected_status_is_the_only_one_of_health_and_one_more_of_other_paths() {
        let redirects = service("health = \"/h\"\nexpect = { status = 307 }");
        assert!(deviation(&redirects.wanted("/h"), 200, "").is_some());
        for path in ["/h", "/timed"] {
            assert_eq!(deviation(&redirects.wanted(path), 307, ""), None, "{path}");
        }
        assert_eq!(deviation(&redirects.wanted("/timed"), 200, ""), None);
        assert!(deviation(&redirects.wanted("/timed"), 503, "").is_some());
        assert!(!redirects.wanted("/timed").needs_body());
    }

    #[test]
    fn data_of_which_nothing_is_said_is_any_answer_and_a_refusal_may_be_wanted() {
        let data = service("data = [\"/a\", { path = \"/b\", status = 401 }]");
        assert_eq!(deviation(&data.wanted("/a"), 200, "<html>"), None);
        assert_eq!(deviation(&data.wanted("/b"), 401, ""), None);
        assert!(deviation(&data.wanted("/b"), 200, "[]").is_some());
    }

    #[test]
    fn an_answer_that_says_no_is_not_good_whatever_its_status() {
        let data = |said: Value| Wanted {
            data: Some(serde_json::from_value(said).expect("a path")),
            ..Wanted::default()
        };
        let two = data(json!({ "path": "/", "min_items": 2 }));
        assert_eq!(deviation(&two, 200, "[1,2]"), None);
        assert!(deviation(&two, 200, "[1]").is_some() && deviation(&two, 503, "[1,2]").is_some());
    }
}
