//! The one client for Prometheus and Alertmanager: queries, rules, alerts and what is silenced.

mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::cluster::ReadError;
use crate::cluster::probe::{Endpoint, HttpProbe, ProbeError};
use crate::config::Monitoring;
use crate::record::{Time, Vantage};

pub use self::scope::{AlertScope, counts, namespace_of};

/// Labels of a series or an alert.
pub type Labels = BTreeMap<String, String>;

/// Path of the alerts that Prometheus has.
pub const ALERTS_PATH: &str = "/api/v1/alerts";
/// Path of the rules that Prometheus evaluates.
pub const RULES_PATH: &str = "/api/v1/rules";
/// Path of the alerts that Alertmanager has.
const ALERTMANAGER_PATH: &str = "/api/v2/alerts";

/// Why Prometheus or Alertmanager gave no answer that can be used. The address is not named: see
/// [`Prometheus::url`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// It did not answer.
    #[error("does not answer: {0}")]
    NoAnswer(String),
    /// The way to it is not open, so that nothing is known of it.
    #[error("{0}")]
    Vantage(ReadError),
    /// It refused; with its own words, if it gave any.
    #[error("answers {status}{}", .error.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
    Status {
        /// The answer's status.
        status: u16,
        /// What it says is wrong.
        error: Option<String>,
    },
    /// It answered something else than the API promises.
    #[error("the answer is not the JSON that was expected")]
    Malformed,
}

impl From<ProbeError> for ApiError {
    fn from(error: ProbeError) -> ApiError {
        match error {
            ProbeError::Service(why) => ApiError::NoAnswer(why),
            ProbeError::Vantage(error) => ApiError::Vantage(error),
        }
    }
}

/// How one of the two is reached. Cloning shares the connections.
#[derive(Clone, Debug)]
struct Client {
    probe: HttpProbe,
    endpoint: Endpoint,
    limit: Duration,
}

/// The body of every answer of Prometheus.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Client {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let answer = self.probe.get(&self.endpoint, path, self.limit).await?;
        parse(answer.status, &answer.body)
    }
}

/// Reads an answer; pure.
fn parse<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, ApiError> {
    if status != 200 {
        let refusal = serde_json::from_slice::<Refusal>(body).ok();
        let error = refusal.map(|refusal| refusal.error);
        return Err(ApiError::Status { status, error });
    }
    serde_json::from_slice(body).map_err(|_| ApiError::Malformed)
}

/// One series of a query's result.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "RawSeries")]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Samples: seconds since 1970, and the value as Prometheus writes it. An instant query gives
    /// one, a range selector any number, in order.
    pub samples: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct RawSeries {
    #[serde(default)]
    metric: Labels,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl From<RawSeries> for Series {
    fn from(raw: RawSeries) -> Series {
        let samples = raw.value.into_iter().chain(raw.values).collect();
        Series {
            labels: raw.metric,
            samples,
        }
    }
}

#[derive(Deserialize)]
struct QueryResult {
    result: Vec<Series>,
}

/// An alert as Prometheus has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Alert {
    /// Its labels, `alertname` among them.
    pub labels: Labels,
    /// Its annotations, such as `summary`.
    #[serde(default)]
    pub annotations: Labels,
    /// Whether it fires.
    pub state: AlertState,
    /// Since when its condition holds.
    #[serde(default, rename = "activeAt", deserialize_with = "time")]
    pub active_at: Option<Time>,
}

/// A time; none where it is not written as one.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()).map(Time))
}

/// The states of an alert in Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Its condition holds.
    Firing,
    /// Its condition holds, but not long enough yet.
    Pending,
    /// Another.
    #[serde(other)]
    Inactive,
}

impl Alert {
    /// It fires now.
    pub fn is_firing(&self) -> bool {
        self.state == AlertState::Firing
    }

    /// A label's value; empty without it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

#[derive(Deserialize)]
struct AlertList {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct RuleGroups {
    groups: Vec<RuleGroup>,
}

#[derive(Deserialize)]
struct RuleGroup {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    /// `ok`, `err` or `unknown` (not evaluated yet).
    #[serde(default)]
    health: String,
    #[serde(rename = "lastError", default)]
    last_error: String,
}

/// A rule that may raise an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertingRule {
    /// Its name, which its alerts have too.
    pub name: String,
    /// Why it could not be evaluated the last time, if so: its alert can't fire then.
    pub error: Option<String>,
}

/// Prometheus.
#[derive(Clone, Debug)]
pub struct Prometheus(Client);

impl Prometheus {
    /// The configured one, if there is one. An answer may take `limit`.
    pub fn of(probe: &HttpProbe, monitoring: &Monitoring, limit: Duration) -> Option<Prometheus> {
        let endpoint = Endpoint::of_monitoring(monitoring, monitoring.prometheus.as_ref()?);
        Some(Prometheus(Client {
            probe: probe.clone(),
            endpoint,
            limit,
        }))
    }

    /// A path of it, as a person would call it.
    pub fn url(&self, path: &str) -> String {
        self.0.endpoint.url(path)
    }

    /// From where it is asked.
    pub fn vantage(&self) -> Vantage {
        self.0.probe.vantage(&self.0.endpoint)
    }

    /// The path of a query, for [`Prometheus::url`].
    pub fn query_path(query: &str) -> String {
        let query = utf8_percent_encode(query, NON_ALPHANUMERIC);
        format!("/api/v1/query?query={query}")
    }

    /// Whether it says that it is ready. What else it says then is for people.
    ///
    /// # Errors
    /// The way to it is not open, so that nobody knows.
    pub async fn is_ready(&self) -> Result<bool, ReadError> {
        let Client {
            probe,
            endpoint,
            limit,
        } = &self.0;
        match probe.get(endpoint, "/-/ready", *limit).await {
            Ok(answer) => Ok(answer.status == 200),
            Err(ProbeError::Service(_)) => Ok(false),
            Err(ProbeError::Vantage(error)) => Err(error),
        }
    }

    /// Evaluates a query now: a vector, or a matrix where the query ends with a range.
    ///
    /// # Errors
    /// There is no answer that can be used.
    pub async fn query(&self, query: &str) -> Result<Vec<Series>, ApiError> {
        let answer: Envelope<QueryResult> = self.0.get(&Prometheus::query_path(query)).await?;
        Ok(answer.data.result)
    }

    /// The alerts that fire or are about to.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn alerts(&self) -> Result<Vec<Alert>, ApiError> {
        let answer: Envelope<AlertList> = self.0.get(ALERTS_PATH).await?;
        Ok(answer.data.alerts)
    }

    /// Names of all rules that it evaluates.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn rule_names(&self) -> Result<BTreeSet<String>, ApiError> {
        let rules = self.rules().await?.into_iter();
        Ok(rules.map(|rule| rule.name).collect())
    }

    /// The rules that may raise an alert.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn alerting_rules(&self) -> Result<Vec<AlertingRule>, ApiError> {
        Ok(alerting(self.rules().await?))
    }

    async fn rules(&self) -> Result<Vec<Rule>, ApiError> {
        let answer: Envelope<RuleGroups> = self.0.get(RULES_PATH).await?;
        let groups = answer.data.groups.into_iter();
        Ok(groups.flat_map(|group| group.rules).collect())
    }
}

fn alerting(rules: Vec<Rule>) -> Vec<AlertingRule> {
    let alerting = rules.into_iter().filter(|rule| rule.kind == "alerting");
    let rule = |rule: Rule| AlertingRule {
        name: rule.name,
        error: (rule.health == "err").then_some(rule.last_error),
    };
    alerting.map(rule).collect()
}

/// An alert as Alertmanager has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RoutedAlert {
    /// Its labels; Alertmanager may have added some.
    pub labels: Labels,
    /// What becomes of it.
    #[serde(default)]
    pub status: RoutedStatus,
}

/// What becomes of an alert in Alertmanager.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct RoutedStatus {
    /// `active`, `suppressed` (silenced or inhibited) or `unprocessed`.
    pub state: String,
}

impl RoutedAlert {
    /// A silence or another alert keeps it from being notified.
    pub fn is_suppressed(&self) -> bool {
        self.status.state == "suppressed"
    }
}

/// The label that holds an alert's name.
const NAME: &str = "alertname";

/// Labels that say how much an alert matters and not what it is about: their values are mapped on
/// the way to Alertmanager.
const REWRITTEN: [&str; 2] = ["severity", "priority"];

/// How many labels an alert in Alertmanager has in common with one of Prometheus, if it may be that
/// alert: it has the same name, and no label that both have differs, but such as are rewritten on
/// the way. Labels are added there too (`external_labels`) and left out (`alert_relabel_configs`).
fn likeness(routed: &Labels, alert: &Labels) -> Option<usize> {
    let mut common = 0;
    for (name, value) in routed {
        match alert.get(name) {
            Some(same) if same == value => common += 1,
            Some(_) if !REWRITTEN.contains(&name.as_str()) => return None,
            _ => {}
        }
    }
    (routed.get(NAME) == alert.get(NAME)).then_some(common)
}

/// Whether an alert in Alertmanager may be one of Prometheus, by the labels of both; pure.
pub fn may_be(routed: &Labels, alert: &Labels) -> bool {
    likeness(routed, alert).is_some()
}

/// Whether nobody is told of an alert that fires in Prometheus, since Alertmanager has it silenced
/// or inhibited; pure. `routed` are all that Alertmanager has. The alert is the one there that is
/// most like it; where several are as much so, each must be suppressed.
pub fn is_suppressed(alert: &Alert, routed: &[RoutedAlert]) -> bool {
    let like = routed.iter().filter_map(|routed| {
        Some((
            likeness(&routed.labels, &alert.labels)?,
            routed.is_suppressed(),
        ))
    });
    let like: Vec<(usize, bool)> = like.collect();
    let most = like.iter().map(|(common, _)| *common).max();
    let mut likest = like.iter().filter(|(common, _)| Some(*common) == most);
    most.is_some() && likest.all(|(_, suppressed)| *suppressed)
}

/// Alertmanager.
#[derive(Clone, Debug)]
pub struct Alertmanager(Client);

impl Alertmanager {
    /// The configured one, if there is one. An answer may take `limit`.
    pub fn of(probe: &HttpProbe, monitoring: &Monitoring, limit: Duration) -> Option<Alertmanager> {
        let endpoint = Endpoint::of_monitoring(monitoring, monitoring.alertmanager.as_ref()?);
        Some(Alertmanager(Client {
            probe: probe.clone(),
            endpoint,
            limit,
        }))
    }

    /// The path of all its alerts, as a person would call it.
    pub fn url(&self) -> String {
        self.0.endpoint.url(ALERTMANAGER_PATH)
    }

    /// All alerts that it has.
    ///
    /// # Errors
    /// As [`Prometheus::query`].
    pub async fn alerts(&self) -> Result<Vec<RoutedAlert>, ApiError> {
        self.0.get(ALERTMANAGER_PATH).await
    }
}

#[cfg(test)]
mod tests;
