//! A probe that is an HTTP answer: of a Service, or of any address.

use std::path::PathBuf;

use super::{Finding, Surroundings, judge_json};
use crate::cluster::probe::{Answer, Endpoint, ProbeError};
use crate::cluster::url::UrlProbe;
use crate::config::{Expectation, Probe, Url};

/// What is asked.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    /// An absolute URL, or `SERVICE/PATH`.
    pub(super) url: &'a str,
    /// What the answer must be.
    pub(super) expect: &'a Expectation,
    /// Certificates that are trusted instead of the system's.
    pub(super) ca: &'a Option<PathBuf>,
}

impl Surroundings {
    /// Asks once.
    pub(super) async fn get(&self, target: Target<'_>, probe: &Probe) -> Finding {
        let limit = probe.timeout.0;
        let answer = if target.url.contains("://") {
            let url = Url {
                url: target.url.to_owned(),
                expect: target.expect.clone(),
                ca: target.ca.clone(),
            };
            match UrlProbe::new(&url) {
                Ok(url) => url.get(limit).await,
                Err(error) => return Finding::Unknown(error.to_string()),
            }
        } else {
            let (name, path) = target.url.split_once('/').unwrap_or((target.url, ""));
            let service = self.services.iter().find(|service| service.name == name);
            let Some(service) = service else {
                return Finding::Unknown(format!("no [[service]] is named {name:?}"));
            };
            let endpoint = Endpoint::of_service(service, &self.namespace);
            self.http.get(&endpoint, &format!("/{path}"), limit).await
        };
        judge(answer, target.expect, probe)
    }
}

fn judge(answer: Result<Answer, ProbeError>, expect: &Expectation, probe: &Probe) -> Finding {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ProbeError::Service(why)) => return Finding::Fails(why),
        Err(ProbeError::Vantage(error)) => return Finding::Unknown(error.to_string()),
    };
    if let Some(deviation) = answer.deviation(expect) {
        return Finding::Fails(deviation.to_string());
    }
    if probe.is.is_some() {
        return judge_json(&answer.body, probe);
    }
    let took = answer.elapsed.as_millis();
    Finding::Holds(format!("answers {} in {took} ms", answer.status))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn judged(answer: Result<Answer, ProbeError>, more: &str) -> Finding {
        let probe = format!("name = 'p'\nurl = 'shop/x'\n{more}");
        let probe: Probe = toml::from_str(&probe).expect("a probe");
        judge(answer, &Expectation::default(), &probe)
    }

    fn answered(status: u16, body: &str, more: &str) -> Finding {
        let answer = Answer {
            status,
            body: body.into(),
            elapsed: Duration::from_millis(7),
        };
        judged(Ok(answer), more)
    }

    #[test]
    fn status_and_value_count_and_silence_is_a_failure_of_whoever_is_asked() {
        assert_eq!(
            answered(200, "", ""),
            Finding::Holds("answers 200 in 7 ms".into())
        );
        assert_eq!(answered(502, "", ""), Finding::Fails("answers 502".into()));
        let value = "value = '/n'\nis = '>= 2'";
        assert!(matches!(
            answered(200, "{\"n\":1}", value),
            Finding::Fails(_)
        ));
        assert!(matches!(answered(200, "{}", value), Finding::Unknown(_)));
        let silent = Err(ProbeError::Service("refused".into()));
        assert_eq!(judged(silent, ""), Finding::Fails("refused".into()));
    }
}
