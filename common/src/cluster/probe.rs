//! From where a Service is asked. `http://shop:8000` resolves to nothing on a laptop, so a check
//! names the Service and the vantage says how it is reached; every record says which was used.

use std::pin::pin;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::client::Body;
use tokio::time::{Instant, sleep, timeout};

pub use crate::cluster::endpoint::{Endpoint, PodEndpoint};

use crate::cluster::cause::{cause, certificate_problem};
use crate::cluster::http_clients::HttpClients;
use crate::cluster::resolver::NameNotResolved;
use crate::cluster::{Cluster, ReadError, ReadErrorKind, error_chain};
use crate::config::{Deviation, Expectation};
use crate::record::Vantage;

/// The most of an answer's body that is read, in bytes.
pub const MAX_BODY: usize = 4 << 20;

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

/// Asks Services from their vantages. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct HttpProbe {
    cluster: Cluster,
    http: HttpClients,
}

impl HttpProbe {
    /// For the Services of this cluster.
    ///
    /// # Panics
    /// If the HTTP client can't be made, which needs nothing but memory.
    pub fn new(cluster: &Cluster) -> HttpProbe {
        HttpProbe {
            cluster: cluster.clone(),
            http: HttpClients::new(),
        }
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
        let ask = async {
            match self.resolve(&endpoint.vantage) {
                Vantage::Auto | Vantage::Direct => self.direct(endpoint, path).await,
                Vantage::ApiProxy => {
                    let (namespace, service) = (&endpoint.namespace, endpoint.proxied());
                    self.proxy(&format!(
                        "/api/v1/namespaces/{namespace}/services/{service}/proxy{path}"
                    ))
                    .await
                }
                Vantage::PortForward => self.port_forward(endpoint, path).await,
                Vantage::Exec(deployment) => self.exec(endpoint, &deployment, path, limit).await,
            }
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
                    Err(_) => Err(silent(endpoint, limit, open.unwrap_or(false))),
                },
                answered = &mut control, if open.is_none() => open = Some(answered.is_ok_and(|answered| answered)),
            }
        }
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
        match timeout(limit, self.proxy(&path)).await {
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
        if self.resolve(&endpoint.vantage) == Vantage::Direct {
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
                let what = format!("resolve {}", endpoint.service);
                return ProbeError::Vantage(
                    ReadError::other(what, why)
                        .hint("outside the cluster use the vantage api-proxy"),
                );
            }
            match certificate_problem(&error) {
                Some(problem) => ProbeError::Service(problem.to_string()),
                None => ProbeError::Service(why),
            }
        };
        let ca = endpoint.ca.as_ref().filter(|_| endpoint.tls);
        let client = self.http.trusting(ca).map_err(ProbeError::Vantage)?;
        let mut answer = client
            .get(endpoint.url(path))
            .send()
            .await
            .map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return Err(ProbeError::Service(format!(
                    "its answer is longer than {MAX_BODY} bytes"
                )));
            }
        }
        Ok((answer.status().as_u16(), body))
    }

    async fn proxy(&self, path: &str) -> Result<(u16, Vec<u8>), ProbeError> {
        let what = "reach the Service through the API server";
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| ProbeError::Service(format!("{path} is no path: {error}")))?;
        let answer = self
            .cluster
            .client
            .send(request)
            .await
            .map_err(|error| ProbeError::Vantage(ReadError::from_kube(what, &error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body = body
            .map_err(|error| ProbeError::Service(format!("the answer broke off: {error}")))?
            .to_bytes();
        if status.is_success() {
            return Ok((status.as_u16(), body.to_vec()));
        }
        // The API server puts its own refusals in a Status object; anything else is the Service's.
        match serde_json::from_slice::<kube::core::Status>(&body) {
            Ok(said) if said.code == status.as_u16() && !said.reason.is_empty() => match status {
                StatusCode::NOT_FOUND
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::BAD_GATEWAY
                | StatusCode::GATEWAY_TIMEOUT => Err(ProbeError::Service(said.message)),
                _ => Err(ProbeError::Vantage(ReadError::from_kube(
                    what,
                    &kube::Error::Api(said.boxed()),
                ))),
            },
            _ if body.starts_with(b"error trying to reach service") => Err(ProbeError::Service(
                String::from_utf8_lossy(&body).trim().to_owned(),
            )),
            _ => Ok((status.as_u16(), body.to_vec())),
        }
    }

    async fn port_forward(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        if endpoint.tls {
            let error = ReadError::other(
                format!("ask {}", endpoint.url(path)),
                "https does not go through port-forward",
            );
            return Err(ProbeError::Vantage(
                error.hint("use the vantage direct, api-proxy or exec:deployment/NAME"),
            ));
        }
        let (pod, port) = self.pod_behind(endpoint).await?;
        let what = format!(
            "open a tunnel to pod {pod} of namespace {}",
            endpoint.namespace
        );
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &endpoint.namespace);
        let mut tunnel = pods
            .portforward(&pod, &[port])
            .await
            .map_err(|error| ProbeError::Vantage(ReadError::from_kube(&what, &error)))?;
        let stream = tunnel
            .take_stream(port)
            .ok_or_else(|| ProbeError::Vantage(ReadError::other(&what, "it has no stream")))?;
        let broken = |error: hyper::Error| ProbeError::Service(error_chain(&error));
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<
            _,
            http_body_util::Empty<&[u8]>,
        >(TokioIo::new(stream))
        .await
        .map_err(broken)?;
        let ask = async {
            let request = Request::get(path)
                .header("host", format!("{}:{}", endpoint.service, endpoint.port))
                .body(http_body_util::Empty::new())
                .map_err(|error| ProbeError::Service(format!("{path} is no path: {error}")))?;
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
            let body = body
                .map_err(|error| ProbeError::Service(format!("the answer broke off: {error}")))?;
            Ok((status, body.to_bytes().to_vec()))
        };
        tokio::select! {
            answer = ask => answer,
            Err(error) = connection => Err(broken(error)),
        }
    }

    /// A ready pod behind a Service, and the port that the Service maps to there.
    async fn pod_behind(&self, endpoint: &Endpoint) -> Result<(String, u16), ProbeError> {
        let Endpoint {
            namespace,
            service,
            port,
            ..
        } = endpoint;
        let what = format!("find a pod behind service/{service} in namespace {namespace}");
        let client = &self.cluster.client;
        let services: Api<k8s_openapi::api::core::v1::Service> =
            Api::namespaced(client.clone(), namespace);
        let found = self
            .cluster
            .read(&what, || services.get(service))
            .await
            .map_err(|error| match error.kind {
                ReadErrorKind::NotFound => ProbeError::Service(error.to_string()),
                _ => ProbeError::Vantage(error),
            })?;
        let ports = found.spec.and_then(|spec| spec.ports).unwrap_or_default();
        let name = ports
            .into_iter()
            .find(|p| p.port == i32::from(*port))
            .map(|p| p.name);
        let Some(name) = name else {
            return Err(ProbeError::Service(format!(
                "service/{service} has no port {port}"
            )));
        };
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = self
            .cluster
            .list(&slices, &params, &what)
            .await
            .map_err(ProbeError::Vantage)?;
        for slice in slices {
            let target_port =
                slice.ports.iter().flatten().find(|p| {
                    p.name.clone().unwrap_or_default() == name.clone().unwrap_or_default()
                });
            let Some(target_port) = target_port
                .and_then(|p| p.port)
                .and_then(|p| u16::try_from(p).ok())
            else {
                continue;
            };
            for one in slice.endpoints {
                let ready = one
                    .conditions
                    .is_none_or(|conditions| conditions.ready != Some(false));
                let pod = one
                    .target_ref
                    .filter(|target| target.kind.as_deref() == Some("Pod"))
                    .and_then(|target| target.name);
                if let (true, Some(pod)) = (ready, pod) {
                    return Ok((pod, target_port));
                }
            }
        }
        Err(ProbeError::Service(format!(
            "service/{service} has no ready pod"
        )))
    }

    async fn exec(
        &self,
        endpoint: &Endpoint,
        deployment: &str,
        path: &str,
        limit: Duration,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
        let pod = self
            .cluster
            .ready_pod(&endpoint.namespace, deployment)
            .await
            .map_err(ProbeError::Vantage)?;
        let (url, seconds) = (endpoint.url(path), limit.as_secs_f64().to_string());
        let command = [
            "curl",
            "-sS",
            "--max-time",
            &seconds,
            "-o",
            "-",
            "-w",
            "\n%{http_code}",
            &url,
        ];
        let done = self
            .cluster
            .exec(&pod, &command, limit, MAX_BODY as u64)
            .await
            .map_err(ProbeError::Vantage)?;
        if done.code != 0 {
            // 126 and 127: there is no curl; its own statuses are below 100.
            return Err(if done.code >= 126 {
                ProbeError::Vantage(ReadError::other(
                    format!("run curl in deployment/{deployment}"),
                    done.stderr,
                ))
            } else {
                ProbeError::Service(done.stderr)
            });
        }
        let at = done
            .stdout
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap_or(0);
        let status = std::str::from_utf8(&done.stdout[at..])
            .ok()
            .and_then(|text| text.trim().parse().ok());
        match status {
            Some(status) => Ok((status, done.stdout[..at].to_vec())),
            None => Err(ProbeError::Vantage(ReadError::other(
                format!("understand curl in deployment/{deployment}"),
                "it gave no status",
            ))),
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
