//! What is asked through the whole run: the health paths of the configured Services at the
//! configured rate, and what users notice besides, their `data` and `timed` paths and the URLs, at
//! a rate that is bounded for all of them together.

use std::time::Duration;

use chaos_common::cluster::probe::{self, Endpoint, HttpProbe, ProbeError};
use chaos_common::cluster::url::UrlProbe;
use chaos_common::config;
use chaos_common::record::{Check, Plan, Vantage};
use tokio::time::Instant;

use super::availability::series::Answer;
use crate::context::Context;

/// Time between two questions that are not about health, of all of them together.
const BETWEEN: Duration = Duration::from_millis(50);
/// Least time between two such questions along a way that takes a command or a tunnel each time.
const COSTLY: Duration = Duration::from_secs(1);

/// The way that a question takes.
#[derive(Clone, Debug)]
enum Way {
    Service(Box<HttpProbe>, Box<Endpoint>),
    Url(UrlProbe),
}

/// What a good answer is.
#[derive(Clone, Debug)]
enum Wanted {
    /// As configured.
    As(Box<config::Wanted>),
    /// What the kubelet takes for ready: a status from 200 to 399.
    Ready,
}

/// Why something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It is a Service's health path.
    Health,
    /// Users notice it.
    Noticed,
    /// It is a URL.
    Url,
}

/// One path that is asked again and again.
#[derive(Clone, Debug)]
pub struct Question {
    /// The Service, or scheme and host of a URL, as the record names it.
    pub service: String,
    /// The path.
    pub path: String,
    /// Time between two questions.
    pub interval: Duration,
    /// The fault is expected to hurt it.
    pub affected: bool,
    way: Way,
    wanted: Wanted,
    reason: Reason,
}

impl Question {
    /// About the readiness path of the pods behind a Service that nobody configured.
    pub fn found(context: &Context, endpoint: Endpoint, path: String) -> Question {
        Question {
            service: endpoint.service.clone(),
            path,
            interval: context.config.experiment.probe_interval.0,
            affected: false,
            way: Way::Service(Box::new(context.asker.clone()), Box::new(endpoint)),
            wanted: Wanted::Ready,
            reason: Reason::Health,
        }
    }

    /// It is about the health of a Service.
    pub fn is_health(&self) -> bool {
        self.reason == Reason::Health
    }

    /// What checks call it.
    pub fn object(&self) -> String {
        match self.reason {
            Reason::Health => format!("service/{}", self.service),
            Reason::Noticed => format!("service/{} {}", self.service, self.path),
            Reason::Url => format!("{}{}", self.service, self.path),
        }
    }

    /// From where it is asked.
    pub fn vantage(&self) -> String {
        match &self.way {
            Way::Service(asker, endpoint) => asker.resolve(&endpoint.vantage).to_string(),
            Way::Url(_) => Vantage::Direct.to_string(),
        }
    }

    /// Asks once. The time of the answer counts from when the question was due.
    pub async fn ask(&self, due: Instant, limit: Duration) -> Answer {
        let answer = match &self.way {
            Way::Service(asker, endpoint) => asker.get(endpoint, &self.path, limit).await,
            Way::Url(url) => url.get(limit).await,
        };
        match answer {
            Ok(answer) => match self.wanted.deviation(&answer) {
                None => Answer::Good(due.elapsed().as_secs_f64() * 1000.0),
                Some(why) => Answer::Bad(why),
            },
            Err(ProbeError::Service(why)) => Answer::Bad(why),
            Err(ProbeError::Vantage(error)) => Answer::Missed(error.to_string()),
        }
    }
}

impl Wanted {
    /// How an answer differs from what is wanted; nothing for a good one.
    fn deviation(&self, answer: &probe::Answer) -> Option<String> {
        let status = answer.status;
        match self {
            Wanted::As(wanted) => {
                let why = wanted.deviation(status, &answer.body, answer.elapsed)?;
                Some(why.to_string())
            }
            Wanted::Ready => {
                let ready = (200..400).contains(&status);
                (!ready).then(|| format!("answers {status}"))
            }
        }
    }
}

/// All that the configuration names, and a check for each that can't be asked. `id` is of these
/// checks.
pub fn configured(context: &Context, plan: &Plan, id: &str) -> (Vec<Question>, Vec<Check>) {
    let config = &context.config;
    let (mut questions, mut checks) = (Vec::new(), Vec::new());
    for service in &config.services {
        questions.extend(of_service(context, plan, service));
    }
    for url in &config.urls {
        match UrlProbe::new(url) {
            Ok(probe) => questions.push(of_url(plan, url, probe)),
            Err(error) => checks.push(Check::unknown(id, &url.url, error.to_string())),
        }
    }
    set_intervals(&mut questions, config.experiment.probe_interval.0);
    (questions, checks)
}

/// The paths of a Service, each once.
fn of_service(context: &Context, plan: &Plan, service: &config::Service) -> Vec<Question> {
    let endpoint = Endpoint::of_service(service, &context.namespace);
    let question = |path: &str, wanted: config::Wanted, reason| Question {
        service: service.name.clone(),
        path: path.to_owned(),
        interval: Duration::ZERO,
        affected: is_affected(plan, &service.name, path),
        way: Way::Service(Box::new(context.asker.clone()), Box::new(endpoint.clone())),
        wanted: Wanted::As(Box::new(wanted)),
        reason,
    };
    let as_configured = |path: &String, reason| question(path, service.wanted(path), reason);
    let health = service.health.iter();
    let health = health.map(|path| as_configured(path, Reason::Health));
    // Data must be JSON also where nothing else is said of them.
    let data = service.data.iter().map(|data| {
        let wanted = config::Wanted {
            data: Some(data.clone()),
            ..service.wanted(&data.path)
        };
        question(&data.path, wanted, Reason::Noticed)
    });
    let timed = service.timed.iter();
    let timed = timed.map(|path| as_configured(path, Reason::Noticed));
    let mut questions: Vec<Question> = Vec::new();
    for one in health.chain(data).chain(timed) {
        if questions.iter().all(|other| other.path != one.path) {
            questions.push(one);
        }
    }
    questions
}

/// Whether a plan expects a Service to suffer, or one path of it: `SERVICE/PATH`, or a whole URL.
fn is_affected(plan: &Plan, service: &str, path: &str) -> bool {
    let named = |one: &String| {
        let rest = one.strip_prefix(service);
        rest.is_some_and(|rest| rest.is_empty() || rest == path)
    };
    plan.affected.iter().any(named)
}

/// A URL, told apart into what is asked and its path.
fn of_url(plan: &Plan, url: &config::Url, probe: UrlProbe) -> Question {
    let from = url.url.find("://").map_or(0, |at| at + 3);
    let path = url.url[from..]
        .find('/')
        .map_or(url.url.len(), |at| from + at);
    let (origin, path) = url.url.split_at(path);
    Question {
        service: origin.to_owned(),
        path: path.to_owned(),
        interval: Duration::ZERO,
        affected: is_affected(plan, origin, path),
        way: Way::Url(probe),
        wanted: Wanted::As(Box::new(config::Wanted {
            answer: Some(url.expect.clone()),
            ..config::Wanted::default()
        })),
        reason: Reason::Url,
    }
}

/// Not more than twenty questions a second for all of them together.
pub fn bound(questions: &mut [Question]) {
    let all = BETWEEN.saturating_mul(u32::try_from(questions.len()).unwrap_or(u32::MAX));
    for question in questions {
        question.interval = question.interval.max(all);
    }
}

/// Health at the configured rate; all else together twenty times a second at most.
fn set_intervals(questions: &mut [Question], health: Duration) {
    let others = questions.iter().filter(|one| !one.is_health()).count();
    let others = BETWEEN.saturating_mul(u32::try_from(others).unwrap_or(u32::MAX));
    for question in questions {
        let costly = match &question.way {
            Way::Service(asker, endpoint) => matches!(
                asker.resolve(&endpoint.vantage),
                Vantage::Exec(_) | Vantage::PortForward
            ),
            Way::Url(_) => false,
        };
        question.interval = match question.reason {
            Reason::Health => health,
            _ if costly => health.max(others).max(COSTLY),
            _ => health.max(others),
        };
    }
}

#[cfg(test)]
pub mod tests;
