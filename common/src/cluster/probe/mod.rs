//! From where a Service is asked. `http://shop:8000` resolves to nothing on a laptop, so a check
//! names the Service and the vantage says how it is reached; every record says which was used.

mod curl;
mod headers;
mod tunnel;

use std::pin::pin;
use std::time::Duration;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use tokio::time::{Instant, sleep, timeout};

pub use crate::cluster::endpoint::{Endpoint, PodEndpoint};

use crate::cluster::cause::{cause, certificate_problem};
use crate::cluster::http_clients::{HttpClients, Shown};
use crate::cluster::proxied::{Whose, patience, whose};
use crate::cluster::resolver::NameNotResolved;
use crate::cluster::url::{self, BodyError};
use crate::cluster::{Cluster, ReadError, error_chain, protobuf};
use crate::config::{Deviation, Expectation, LONGEST_ANSWER};
use crate::record::Vantage;
use crate::retry::{Again, Policy};

/// The most of an answer's body that is read, in bytes.
pub const MAX_BODY: usize = LONGEST_ANSWER;

/// How often a Service is asked again when the way to it was not open.
pub const WAY: Policy = Policy {
    pause: Duration::from_millis(300),
    longest: Duration::from_secs(1),
    repeats: 3,
    within: Duration::from_secs(5),
    within_throttled: Duration::from_secs(5),
};

/// An HTTP answer, good or bad.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, as far as it was read.
    pub body: Vec<u8>,
    /// From the start of the request to the end of the body, the vantage's own way included.
    pub elapsed: Duration,
}

impl Answer {
    /// How it differs from what is expected; `None` for a good one.
    pub fn deviation(&self, expectation: &Expectation) -> Option<Deviation> {
        expectation.deviation(self.status, &self.body, self.elapsed)
    }
}

/// Why there was no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// The way was open, and the Service did not answer: refused, timed out, nobody there.
    #[error("{0}")]
    Service(String),
    /// The way itself was not open, so that nothing is known of the Service.
    #[error(transparent)]
    Vantage(ReadError),
}

impl ProbeError {
    /// What happened, in words.
    pub fn message(&self) -> String {
        self.to_string()
    }
}

/// Why a Service is asked again.
enum Unheard {
    /// Somebody is too busy; the Service, if it stays so.
    Busy(Answer),
    /// There was no answer.
    Error(ProbeError),
}

/// Asks Services from their vantages. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    cluster: Cluster,
    http: HttpClients,
    known: headers::Known,
}

impl HttpProbe {
    /// For the Services of this cluster.
    pub fn new(cluster: &Cluster) -> HttpProbe {
        HttpProbe {
            cluster: cluster.clone(),
            http: HttpClients::default(),
            known: headers::Known::default(),
        }
    }

    /// The same through another connection to the cluster, such as that of a look.
    #[must_use]
    pub fn of(&self, cluster: &Cluster) -> HttpProbe {
        HttpProbe {
            cluster: cluster.clone(),
            http: self.http.clone(),
            known: self.known.clone(),
        }
    }

    /// The connection to the cluster that it asks through.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The vantage that is really used for a configured one.
    pub fn resolve(&self, vantage: &Vantage) -> Vantage {
        match vantage {
            // Only inside a cluster is there no kubeconfig context.
            Vantage::Auto if self.cluster.context.is_none() => Vantage::Direct,
            Vantage::Auto => Vantage::ApiProxy,
            other => other.clone(),
        }
    }

    /// The vantage that an endpoint is really asked from. What wants credentials or a certificate
    /// needs a connection of its own, which the API server does not give.
    pub fn vantage(&self, endpoint: &Endpoint) -> Vantage {
        let own = endpoint
            .access
            .as_ref()
            .is_some_and(|access| access.wants_own_connection());
        match self.resolve(&endpoint.vantage) {
            Vantage::ApiProxy if own => Vantage::PortForward,
            other => other,
        }
    }

    /// Asks for a path and waits for the whole answer.
    ///
    /// # Errors
    /// There was no answer in time; which side it lay on is told apart.
    pub async fn get(
        &self,
        endpoint: &Endpoint,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, ProbeError> {
        let start = Instant::now();
        let own = limit;
        let limit = self.cluster.until_deadline(own);
        let ask = async {
            let answer = match self.vantage(endpoint) {
                Vantage::Auto | Vantage::Direct => self.direct(endpoint, path).await,
                Vantage::ApiProxy => self.by_api_server(endpoint, path).await,
                Vantage::PortForward => self.port_forward(endpoint, path).await,
                Vantage::Exec(pods) => self.exec(endpoint, &pods, path, limit).await,
            };
            if let Ok((401, _)) = &answer {
                self.known.forget();
            }
            answer
        };
        let (mut ask, mut control) = (
            pin!(timeout(limit, ask)),
            pin!(timeout(limit, self.control(endpoint, limit / 2))),
        );
        let mut open = None;
        loop {
            tokio::select! {
                answer = &mut ask => return match answer {
                    Ok(answer) => answer.map(|(status, body)| Answer { status, body, elapsed: start.elapsed() }),
                    Err(_) if limit < own => Err(self.cut(endpoint)),
                    Err(_) => Err(silent(endpoint, limit, open.unwrap_or(false))),
                },
                answered = &mut control, if open.is_none() => open = Some(answered.is_ok_and(|answered| answered)),
            }
        }
    }

    /// The same, and again where the way is not open and may be soon: the API server is too busy
    /// (429), not ready (503), or away for a moment.
    ///
    /// # Errors
    /// As [`HttpProbe::get`], of the last time.
    pub async fn get_again(
        &self,
        endpoint: &Endpoint,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, ProbeError> {
        let through_api_server = self.vantage(endpoint) == Vantage::ApiProxy;
        let ask = || async {
            match self.get(endpoint, path, limit).await {
                Ok(busy) if busy.status == 429 && through_api_server => Err(Unheard::Busy(busy)),
                other => other.map_err(Unheard::Error),
            }
        };
        let again = |unheard: &Unheard| match unheard {
            Unheard::Busy(_) => Again::Soon,
            Unheard::Error(ProbeError::Service(_)) => Again::Never,
            Unheard::Error(ProbeError::Vantage(error)) => error.again(),
        };
        let asked = Box::pin(WAY.run(ask, again));
        match self.cluster.before_deadline(asked).await {
            None => Err(self.cut(endpoint)),
            Some(Ok(answer) | Err(Unheard::Busy(answer))) => Ok(answer),
            Some(Err(Unheard::Error(error))) => Err(error),
        }
    }

    /// The deadline of a look came before the time that a question may take.
    fn cut(&self, endpoint: &Endpoint) -> ProbeError {
        let what = format!("ask {}", endpoint.url(""));
        ProbeError::Vantage(self.cluster.over(what))
    }

    /// Asks one pod for a path through the API server.
    ///
    /// # Errors
    /// As [`HttpProbe::get`].
    pub async fn get_pod(
        &self,
        pod: &PodEndpoint,
        path: &str,
        limit: Duration,
    ) -> Result<Answer, ProbeError> {
        let start = Instant::now();
        let (namespace, proxied) = (&pod.namespace, pod.proxied());
        let path = format!("/api/v1/namespaces/{namespace}/pods/{proxied}/proxy{path}");
        match timeout(limit, self.proxy(&path, HeaderMap::new())).await {
            Ok(answer) => answer.map(|(status, body)| Answer {
                status,
                body,
                elapsed: start.elapsed(),
            }),
            Err(_) => Err(ProbeError::Service(format!(
                "no answer in {} ms",
                limit.as_millis()
            ))),
        }
    }

    /// Whether the way to a Service is open: asked beside the question itself, from the middle of
    /// its time on, so that an API server that hangs meanwhile is not taken for a Service that
    /// does.
    async fn control(&self, endpoint: &Endpoint, after: Duration) -> bool {
        if self.vantage(endpoint) == Vantage::Direct {
            return true;
        }
        sleep(after).await;
        matches!(
            self.cluster.client.apiserver_version().await,
            Ok(_) | Err(kube::Error::Api(_))
        )
    }

    async fn direct(&self, endpoint: &Endpoint, path: &str) -> Result<(u16, Vec<u8>), ProbeError> {
        let failed = |error: reqwest::Error| {
            let error = error.without_url();
            let why = error_chain(&error);
            if cause::<NameNotResolved>(&error).is_some() {
                let unknown = ReadError::other(format!("resolve {}", endpoint.service), why);
                return ProbeError::Vantage(if endpoint.is_outside() {
                    unknown
                } else {
                    unknown.hint("outside the cluster use the vantage api-proxy")
                });
            }
            match certificate_problem(&error) {
                Some(problem) => ProbeError::Service(problem.to_string()),
                None => ProbeError::Service(why),
            }
        };
        let identity = endpoint
            .access
            .as_ref()
            .and_then(|access| access.identity.clone());
        let shown = Shown {
            ca: endpoint.ca.clone().filter(|_| endpoint.tls),
            identity: identity.filter(|_| endpoint.tls),
            by_proxy: endpoint.is_outside(),
        };
        let client = self.http.client(&shown).map_err(ProbeError::Vantage)?;
        let mut answer = client
            .get(endpoint.url(path))
            .headers(self.headers(endpoint).await?)
            .send()
            .await
            .map_err(failed)?;
        let body = url::whole_body(&mut answer).await;
        let body = body.map_err(|error| match error {
            BodyError::Broken(error) => failed(error),
            BodyError::TooLong => ProbeError::Service(error.to_string()),
        })?;
        Ok((answer.status().as_u16(), body))
    }

    async fn by_api_server(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        let (namespace, service) = (&endpoint.namespace, endpoint.proxied());
        let path = endpoint.path(path);
        let path = format!("/api/v1/namespaces/{namespace}/services/{service}/proxy{path}");
        self.proxy(&path, self.headers(endpoint).await?).await
    }

    async fn proxy(&self, path: &str, headers: HeaderMap) -> Result<(u16, Vec<u8>), ProbeError> {
        let what = "reach the Service through the API server";
        let mut request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| ProbeError::Service(format!("{path} is no path: {error}")))?;
        request.headers_mut().extend(headers);
        let answer = self
            .cluster
            .client
            .send(request)
            .await
            .map_err(|error| ProbeError::Vantage(ReadError::from_kube(what, &error)))?;
        let status = answer.status();
        let patience = patience(answer.headers());
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body = body
            .map_err(|error| ProbeError::Service(format!("the answer broke off: {error}")))?
            .to_bytes();
        match whose(status, &body) {
            Whose::Services => Ok((status.as_u16(), body.to_vec())),
            Whose::Way(why) => Err(ProbeError::Service(why)),
            Whose::ApiServers(mut said) => {
                if said.details.is_none() {
                    said.details = protobuf::wait(patience);
                }
                let error = ReadError::from_kube(what, &kube::Error::Api(said));
                Err(ProbeError::Vantage(error))
            }
            Whose::Unclear => match self.cluster.client.apiserver_version().await {
                Ok(_) => Ok((status.as_u16(), body.to_vec())),
                Err(error) => Err(ProbeError::Vantage(ReadError::from_kube(what, &error))),
            },
        }
    }
}

/// Nothing came in time: was it the Service, or the API server that stands between?
fn silent(endpoint: &Endpoint, limit: Duration, open: bool) -> ProbeError {
    if open {
        return ProbeError::Service(format!("no answer in {} ms", limit.as_millis()));
    }
    let what = format!("reach {} through the API server", endpoint.url(""));
    ProbeError::Vantage(ReadError::timeout(
        what,
        format!(
            "the API server did not answer in {} ms either",
            limit.as_millis()
        ),
    ))
}
