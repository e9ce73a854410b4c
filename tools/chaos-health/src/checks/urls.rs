//! Do the configured URLs answer, and how long are certificates still valid?

use std::time::Instant;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client};
use tokio::time::timeout;

use super::answers::{LIMIT, PARALLEL, any_body, judge_answer};
use super::catalogue::Explanation;
use super::certificate::Validity;
use chaos_common::cluster::probe::{Answer, ProbeError};
use chaos_common::cluster::url::{self, whole_body};
use chaos_common::cluster::{Cluster, certificates, error_chain};
use chaos_common::config::{Config, Span, Url};
use chaos_common::record::{Check, Status};

/// `cluster.certificate`
pub(super) const CLUSTER_CERTIFICATE: Explanation = Explanation {
    id: "cluster.certificate",
    asks: "How long are the API server's certificate and our own still valid?",
    judges: "Warns below health.certificate_left, or below a tenth of its life if it lives \
             shortly by design.",
    reads: "the TLS handshake with the API server; the kubeconfig",
    remedy: "renew it: kubeadm certs renew, or as your provider does",
};

/// `url.http`
pub(super) const HTTP: Explanation = Explanation {
    id: "url.http",
    asks: "Do the configured URLs answer as expected?",
    judges: "As service.http, asked from where the tool runs. Redirects are answers and not \
             followed.",
    reads: "a GET of each [[url]]",
    remedy: "curl -v the URL",
};

/// `url.certificate`
pub(super) const CERTIFICATE: Explanation = Explanation {
    id: "url.certificate",
    asks: "How long are the certificates of the configured URLs still valid?",
    judges: "Fails below health.certificate_left, or below a tenth of its life if it lives \
             shortly by design. One that has expired or is not trusted fails in url.http.",
    reads: "the TLS handshake",
    remedy: "renew it",
};

/// `url.http` and `url.certificate`: every configured URL, several at a time.
pub(super) async fn examine(cluster: &Cluster, config: &Config) -> Vec<Check> {
    if config.urls.is_empty() {
        return vec![Check::skipped(HTTP.id, "", "no URLs are configured")];
    }
    let ask = config
        .urls
        .iter()
        .map(|url| one(cluster, url, config.health.certificate_left));
    stream::iter(ask)
        .buffered(PARALLEL)
        .collect::<Vec<_>>()
        .await
        .concat()
}

async fn one(cluster: &Cluster, url: &Url, left: Span) -> Vec<Check> {
    let object = &url.url;
    let trusted = url.ca.as_deref().map(certificates::in_file).transpose();
    let client = match trusted.map_err(|error| error.to_string()).and_then(client) {
        Ok(client) => client,
        Err(why) => return vec![Check::unknown(HTTP.id, object, why)],
    };
    let start = Instant::now();
    let mut certificate = None;
    let limit = cluster.until_deadline(LIMIT);
    let answer = match timeout(limit, get(&client, object, &mut certificate)).await {
        Ok(answer) => answer.map_err(ProbeError::Service),
        // It had less time than it may take.
        Err(_) if limit < LIMIT => {
            let what = format!("ask {object}");
            Err(ProbeError::Vantage(cluster.over(what)))
        }
        Err(_) => {
            let why = format!("no whole answer in {} ms", LIMIT.as_millis());
            Err(ProbeError::Service(why))
        }
    };
    let answer = answer.map(|(status, body)| Answer {
        status,
        body,
        elapsed: start.elapsed(),
    });
    let mut checks = vec![judge_answer(
        HTTP.id,
        object.clone(),
        answer,
        &url.expect,
        any_body,
    )];
    if let Some(certificate) = certificate {
        checks.push(judge(
            CERTIFICATE.id,
            object,
            &certificate,
            left,
            Status::Fail,
        ));
    }
    checks
        .into_iter()
        .map(|check| check.from_vantage("direct"))
        .collect()
}

/// Asks a URL and waits for the whole answer; keeps the server's certificate as soon as it is seen.
async fn get(
    client: &Client,
    url: &str,
    certificate: &mut Option<Vec<u8>>,
) -> Result<(u16, Vec<u8>), String> {
    let failed = |error: reqwest::Error| error_chain(&error.without_url());
    let mut answer = client.get(url).send().await.map_err(failed)?;
    *certificate = peer(&answer);
    let body = whole_body(&mut answer).await;
    let body = body.map_err(|error| error_chain(&error))?;
    Ok((answer.status().as_u16(), body))
}

fn peer(answer: &reqwest::Response) -> Option<Vec<u8>> {
    answer
        .extensions()
        .get::<TlsInfo>()
        .and_then(TlsInfo::peer_certificate)
        .map(<[u8]>::to_vec)
}

fn client(trusted: Option<Vec<Certificate>>) -> Result<Client, String> {
    url::client(trusted).map_err(|error| format!("cannot make a client: {}", error_chain(&error)))
}

/// `cluster.certificate`: the API server's certificate and ours. That they end soon is a warning:
/// that they have ended shows in `cluster.reachable`.
pub(super) async fn cluster(cluster: &Cluster, left: Span) -> Vec<Check> {
    let mut checks = Vec::new();
    let certificates = cluster
        .roots
        .iter()
        .flatten()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    let client = client(cluster.roots.is_some().then_some(certificates));
    let answer = async {
        let answer = client?
            .get(format!("{}/version", cluster.server))
            .send()
            .await;
        answer.map_err(|error| error_chain(&error.without_url()))
    };
    let answer = timeout(cluster.until_deadline(LIMIT), answer)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()));
    checks.push(match answer.map(|answer| peer(&answer)) {
        Ok(Some(certificate)) => judge(
            CLUSTER_CERTIFICATE.id,
            &cluster.server,
            &certificate,
            left,
            Status::Warn,
        ),
        Ok(None) => Check::skipped(
            CLUSTER_CERTIFICATE.id,
            &cluster.server,
            "the API server is asked without TLS",
        ),
        Err(why) => Check::skipped(
            CLUSTER_CERTIFICATE.id,
            &cluster.server,
            format!("it could not be looked at: {why}"),
        ),
    });
    if let Some(certificate) = &cluster.own_certificate {
        checks.push(judge(
            CLUSTER_CERTIFICATE.id,
            "our certificate",
            certificate,
            left,
            Status::Warn,
        ));
    }
    checks
}

fn judge(id: &str, object: &str, certificate: &[u8], left: Span, bad: Status) -> Check {
    let now = Timestamp::now();
    match Validity::of(certificate) {
        Some(validity) if validity.lasts(now, left) => Check::pass(
            id,
            object,
            format!("the certificate is valid {}", validity.text(now)),
        ),
        Some(validity) => {
            let message = format!(
                "the certificate is valid only {}; {left} more are wanted",
                validity.text(now)
            );
            Check::new(id, object, bad, message).hint("renew it")
        }
        None => Check::unknown(id, object, "the certificate can't be read"),
    }
}
