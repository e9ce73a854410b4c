//! Asks the probes of `[[probe]]`: the same way before, during and after a fault.

mod command;
mod http;

use std::fmt;

use tokio::time::timeout;

use crate::cluster::probe::HttpProbe;
use crate::config::{Condition, Config, Database, Monitoring, Probe, Question, Service};
use crate::postgres::{QueryError, Session};
use crate::prometheus::{Prometheus, Series};
use crate::record::{Check, Status};

/// Where probes are asked. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct Surroundings {
    http: HttpProbe,
    namespace: String,
    services: Vec<Service>,
    monitoring: Option<Monitoring>,
    database: Option<Database>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It holds; with what was seen.
    Holds(String),
    /// It does not; with what was seen.
    Fails(String),
    /// It can't be told, and why.
    Unknown(String),
}

impl Finding {
    /// As a check.
    pub fn check(&self, id: &str, object: &str) -> Check {
        let (status, message) = match self {
            Finding::Holds(seen) => (Status::Pass, seen),
            Finding::Fails(seen) => (Status::Fail, seen),
            Finding::Unknown(why) => (Status::Unknown, why),
        };
        Check::new(id, object, status, message.clone())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Holds(text) | Finding::Fails(text) | Finding::Unknown(text) => {
                f.write_str(text)
            }
        }
    }
}

impl Surroundings {
    /// Those of an application.
    pub fn new(http: &HttpProbe, namespace: &str, config: &Config) -> Surroundings {
        Surroundings {
            http: http.clone(),
            namespace: namespace.to_owned(),
            services: config.services.clone(),
            monitoring: config.monitoring.clone(),
            database: config.database.clone(),
        }
    }

    /// Asks a probe once. It never waits longer than the probe's timeout.
    pub async fn ask(&self, probe: &Probe) -> Finding {
        let limit = self.http.cluster().until_deadline(probe.timeout.0);
        let asked = async {
            match &probe.question {
                Question::Prometheus(query) => self.query(query, probe).await,
                Question::Http { url, expect, ca } => {
                    let target = http::Target { url, expect, ca };
                    self.get(target, probe).await
                }
                Question::Sql(statement) => self.sql(statement, probe).await,
                Question::Command(argv) => command::run(argv, probe).await,
            }
        };
        timeout(limit, asked)
            .await
            .unwrap_or_else(|_| Finding::Unknown(format!("no answer in {} ms", limit.as_millis())))
    }

    async fn query(&self, query: &str, probe: &Probe) -> Finding {
        let monitoring = self.monitoring.as_ref();
        let limit = probe.timeout.0;
        let prometheus =
            monitoring.and_then(|monitoring| Prometheus::of(&self.http, monitoring, limit));
        let Some(prometheus) = prometheus else {
            return Finding::Unknown("no Prometheus is configured: [monitoring.prometheus]".into());
        };
        match prometheus.query(query).await {
            Ok(series) => judge_series(&series, probe.is.as_ref()),
            Err(error) => Finding::Unknown(format!("Prometheus {error}")),
        }
    }

    async fn sql(&self, statement: &str, probe: &Probe) -> Finding {
        let Some(database) = &self.database else {
            return Finding::Unknown("no database is configured: [database]".into());
        };
        let cluster = self.http.cluster();
        match Session::open(cluster, &self.namespace, database).await {
            Ok(mut session) => match first_row(&mut session, statement).await {
                Ok(Some(value)) => judge_value(&value, probe.is.as_ref()),
                Ok(None) => Finding::Unknown("the statement gives no row".into()),
                Err(error) => Finding::Unknown(error.to_string()),
            },
            Err(error) => Finding::Unknown(error.to_string()),
        }
    }
}

/// Asks in a transaction that can't write.
async fn first_row(session: &mut Session, sql: &str) -> Result<Option<String>, QueryError> {
    session.query("BEGIN READ ONLY").await?;
    let rows = session.query(sql).await?;
    Ok(rows.into_iter().next())
}

/// Every series must meet the condition. None at all is no answer: what does not exist can't be
/// above a limit or below it.
fn judge_series(series: &[Series], is: Option<&Condition>) -> Finding {
    let mut worst = None;
    for one in series {
        let Some((_, value)) = one.samples.last() else {
            continue;
        };
        let finding = match judge_value(value, is) {
            Finding::Holds(seen) => Finding::Holds(seen),
            Finding::Fails(seen) => return Finding::Fails(named(one, &seen)),
            Finding::Unknown(why) => Finding::Unknown(named(one, &why)),
        };
        if !matches!(worst, Some(Finding::Unknown(_))) {
            worst = Some(finding);
        }
    }
    worst.unwrap_or_else(|| Finding::Unknown("the query gives no series".into()))
}

fn named(series: &Series, seen: &str) -> String {
    let labels = series.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    if labels.is_empty() {
        return seen.to_owned();
    }
    format!("{{{}}} {seen}", labels.join(","))
}

/// A value, held against a condition.
fn judge_value(value: &str, is: Option<&Condition>) -> Finding {
    let Some(is) = is else {
        return Finding::Holds(format!("is {}", short(value)));
    };
    match is.holds(value) {
        Ok(true) => Finding::Holds(format!("is {} ({is} is wanted)", short(value))),
        Ok(false) => Finding::Fails(format!("is {} ({is} is wanted)", short(value))),
        Err(error) => Finding::Unknown(error.to_string()),
    }
}

/// A JSON text, or the part of it that the probe looks at, held against the probe's condition.
fn judge_json(body: &[u8], probe: &Probe) -> Finding {
    let Some(pointer) = &probe.value else {
        let text = String::from_utf8_lossy(body);
        return judge_value(text.trim(), probe.is.as_ref());
    };
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Finding::Unknown("the answer is no JSON".into());
    };
    match json.pointer(pointer) {
        None => Finding::Unknown(format!("the answer has nothing at {pointer}")),
        Some(serde_json::Value::String(text)) => judge_value(text, probe.is.as_ref()),
        Some(other) => judge_value(&other.to_string(), probe.is.as_ref()),
    }
}

/// A value as a message can hold it.
fn short(value: &str) -> String {
    const MOST: usize = 80;
    if value.chars().count() <= MOST && !value.chars().any(char::is_control) {
        return value.to_owned();
    }
    let start: String = value.chars().take(MOST).collect();
    format!("{start:?}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(labels: &[(&str, &str)], value: &str) -> Series {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Series {
            labels: labels.iter().map(owned).collect(),
            samples: vec![(1.0, value.to_owned())],
        }
    }

    fn judged(series: &[Series], condition: &str) -> Finding {
        judge_series(series, Some(&condition.parse().expect("a condition")))
    }

    #[test]
    fn every_series_counts_and_none_is_no_answer() {
        let both = [series(&[("pod", "a")], "3"), series(&[("pod", "b")], "1")];
        assert_eq!(
            judged(&both, ">= 1"),
            Finding::Holds("is 1 (>= 1 is wanted)".into())
        );
        assert_eq!(
            judged(&both, ">= 2"),
            Finding::Fails("{pod=\"b\"} is 1 (>= 2 is wanted)".into())
        );
        assert_eq!(
            judged(&[], ">= 1"),
            Finding::Unknown("the query gives no series".into())
        );
        let one_unknown = [series(&[], "NaN"), series(&[], "3")];
        assert!(matches!(judged(&one_unknown, ">= 1"), Finding::Unknown(_)));
        let one_fails = [series(&[], "NaN"), series(&[], "0")];
        assert!(matches!(judged(&one_fails, ">= 1"), Finding::Fails(_)));
    }

    fn of(body: &str, probe: &str) -> Finding {
        let probe = format!("name = 'p'\ncommand = ['x']\n{probe}");
        let probe: Probe = toml::from_str(&probe).expect("a probe");
        judge_json(body.as_bytes(), &probe)
    }

    #[test]
    fn a_part_of_json_is_held_against_the_condition() {
        let body = r#"{"orders": [{"state": "open", "n": 3}]}"#;
        let state = "value = '/orders/0/state'\nis = '== open'";
        assert_eq!(
            of(body, state),
            Finding::Holds("is open (== open is wanted)".into())
        );
        assert!(matches!(
            of(body, "value = '/orders/0/n'\nis = '> 3'"),
            Finding::Fails(_)
        ));
        assert_eq!(
            of(body, "value = '/orders/1/n'\nis = '> 3'"),
            Finding::Unknown("the answer has nothing at /orders/1/n".into())
        );
        assert!(matches!(of("<html>", state), Finding::Unknown(_)));
        assert!(matches!(of(" 4\n", "is = '> 3'"), Finding::Holds(_)));
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = short(&"x".repeat(500));
        assert!(long.len() < 100 && long.ends_with('…'), "{long}");
        assert_eq!(short("a\u{1b}[31mb"), "\"a\\u{1b}[31mb\"…");
    }
}
