//! Do the Services answer, and are their answers what was expected?

use std::convert::Infallible;
use std::fmt::Display;
use std::time::Duration;

use futures::stream::{self, StreamExt};

use super::catalogue::Explanation;
use chaos_common::cluster::probe::{Answer, Endpoint, HttpProbe, ProbeError};
use chaos_common::config::{Config, Expectation};
use chaos_common::record::{Check, Status, Vantage};

/// `service.http`
pub(super) const HTTP: Explanation = Explanation {
    id: "service.http",
    asks: "Does the health path of every configured Service answer as expected?",
    judges: "Fails for another status than expected (200s), a body without the expected text, \
             an answer that is too slow, too long or does not come. Unknown if the way to the \
             Service (the vantage) is not open. Without a configuration, Services are asked for \
             the readiness path of their pods; then only an answer of 400 or more fails.",
    reads: "a GET from the configured vantage",
    remedy: "kubectl logs of the pods behind it",
};

/// Time that a health URL may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// So many are asked at a time.
pub(super) const PARALLEL: usize = 16;
/// `service.http`: the health path of every configured Service, several at a time.
pub(super) async fn ask_all(probe: &HttpProbe, config: &Config, namespace: &str) -> Vec<Check> {
    const ID: &str = HTTP.id;
    let ask = config.services.iter().map(|service| async {
        let endpoint = Endpoint::of_service(service, namespace);
        match &service.health {
            Some(path) => {
                let answer = probe.get_again(&endpoint, path, LIMIT).await;
                let check = judge_answer(ID, endpoint.url(path), answer, &service.expect, any_body);
                check.from_vantage(probe.resolve(&endpoint.vantage))
            }
            None => Check::skipped(ID, endpoint.url(""), "no health path is configured"),
        }
    });
    stream::iter(ask).buffered(PARALLEL).collect().await
}

/// The answers of the configured Services, in their order, where `other_name` says of a Service what
/// it is only another name for. The API server and a tunnel lead to endpoints, which such a Service
/// has not: that it does not answer there says nothing of it.
pub(super) fn unless_only_a_name<'a>(
    answers: Vec<Check>,
    config: &Config,
    other_name: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Check> {
    let through_endpoints = [Vantage::ApiProxy, Vantage::PortForward].map(|v| v.to_string());
    let judge = |(at, check): (usize, Check)| {
        let here = config
            .services
            .get(at)
            .filter(|service| service.namespace.is_none());
        let other = here.and_then(|service| other_name(&service.name));
        let vantage = check
            .vantage
            .clone()
            .filter(|v| through_endpoints.contains(v));
        match (other, vantage) {
            (Some(other), Some(vantage)) if check.status == Status::Fail => {
                let object = check.object.unwrap_or_default();
                let why = format!("it is another name for {other}, where {vantage} does not lead");
                Check::unknown(HTTP.id, object, why)
                    .hint("use the vantage direct or exec:deployment/NAME")
                    .from_vantage(vantage)
            }
            _ => check,
        }
    };
    answers.into_iter().enumerate().map(judge).collect()
}

/// Asks one URL; a status in the 200s passes if `judge` finds nothing wrong with the body. Gives the
/// status, too.
pub(super) async fn ask<E: Display>(
    id: &str,
    probe: &HttpProbe,
    endpoint: &Endpoint,
    path: &str,
    judge: impl FnOnce(&[u8]) -> Result<(), E>,
) -> (Check, Option<u16>) {
    let answer = probe.get_again(endpoint, path, LIMIT).await;
    let status = answer.as_ref().ok().map(|answer| answer.status);
    let check = judge_answer(
        id,
        endpoint.url(path),
        answer,
        &Expectation::default(),
        judge,
    );
    (check.from_vantage(probe.vantage(endpoint)), status)
}

/// For an answer whose body may be anything.
#[expect(clippy::unnecessary_wraps, reason = "a judgement like the others")]
pub(super) fn any_body(_: &[u8]) -> Result<(), Infallible> {
    Ok(())
}

/// Is an answer what was expected? `judge` says what is wrong with the body of one that is.
pub(super) fn judge_answer<E: Display>(
    id: &str,
    url: String,
    answer: Result<Answer, ProbeError>,
    expect: &Expectation,
    judge: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Check {
    let answer = match answer {
        Ok(answer) => answer,
        Err(ProbeError::Service(why)) => {
            return Check::fail(id, url, format!("does not answer: {why}"));
        }
        Err(ProbeError::Vantage(error)) => return error.check(id, url),
    };
    if let Some(deviation) = answer.deviation(expect) {
        return Check::fail(id, url, deviation.to_string());
    }
    let status = answer.status;
    match judge(&answer.body) {
        Ok(()) => {
            let taken = answer.elapsed.as_millis();
            Check::pass(id, url, format!("answers {status} in {taken} ms"))
        }
        Err(why) => Check::fail(id, url, format!("answers {status}, but {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_was_expected_or_says_what_it_is_not() {
        let answer = |status, ms| {
            Ok(Answer {
                status,
                body: b"{\"status\":\"ok\"}".to_vec(),
                elapsed: Duration::from_millis(ms),
            })
        };
        let of = |status, ms, expect: &str| {
            let expect: Expectation = toml::from_str(expect).expect("an expectation");
            let check = judge_answer("x", String::new(), answer(status, ms), &expect, any_body);
            (check.status, check.message)
        };
        assert_eq!(of(204, 10, "").0, Status::Pass);
        assert_eq!(of(302, 10, "").0, Status::Fail);
        assert_eq!(of(302, 10, "status = 302").0, Status::Pass);
        assert!(of(200, 10, "status = 204").1.contains("204 is wanted"));
        assert_eq!(of(200, 10, "body = \"ok\"").0, Status::Pass);
        assert!(
            of(200, 10, "body = \"well\"")
                .1
                .contains("does not hold \"well\"")
        );
        assert!(
            of(200, 700, "within = \"500ms\"")
                .1
                .contains("at most 500ms")
        );
        assert_eq!(of(200, 400, "within = \"500ms\"").0, Status::Pass);
    }
}
