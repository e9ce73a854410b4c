//! Asking through a tunnel to one of the Service's pods.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Endpoint, HttpProbe, MAX_BODY, ProbeError};
use crate::cluster::cause::certificate_problem;
use crate::cluster::tls::{self, Trust};
use crate::cluster::{ReadError, ReadErrorKind, error_chain};

impl HttpProbe {
    pub(super) async fn port_forward(
        &self,
        endpoint: &Endpoint,
        path: &str,
    ) -> Result<(u16, Vec<u8>), ProbeError> {
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
        let headers = self.headers(endpoint).await?;
        let path = endpoint.path(path);
        let mut request = Request::get(&path)
            .header("host", format!("{}:{}", endpoint.host(), endpoint.port))
            .body(Empty::new())
            .map_err(|error| ProbeError::Service(format!("{path} is no path: {error}")))?;
        request.headers_mut().extend(headers);
        if endpoint.tls {
            let stream = encrypted(endpoint, stream).await?;
            return converse(stream, request).await;
        }
        converse(stream, request).await
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
}

/// TLS inside of the tunnel, with the Service as whoever it is opened to.
async fn encrypted<S>(endpoint: &Endpoint, stream: S) -> Result<TlsStream<S>, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = endpoint.host();
    let what = format!("ask {} through a tunnel", endpoint.url(""));
    let setup = |why: String| ProbeError::Vantage(ReadError::other(&what, why));
    let trust = Trust::Authorities(endpoint.ca.as_deref());
    let identity = endpoint
        .access
        .as_ref()
        .and_then(|access| access.identity.as_ref());
    let config = tls::client_config(trust, identity).map_err(|why| setup(why.to_string()))?;
    let name = ServerName::try_from(host).map_err(|error| setup(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let connected = connector.connect(name, stream).await;
    connected.map_err(|error| {
        let problem = certificate_problem(&error).map(|problem| problem.to_string());
        ProbeError::Service(problem.unwrap_or_else(|| error_chain(&error)))
    })
}

/// One request over an open stream.
async fn converse<S>(
    stream: S,
    request: Request<Empty<&'static [u8]>>,
) -> Result<(u16, Vec<u8>), ProbeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| ProbeError::Service(error_chain(&error));
    let opened = http1::handshake::<_, Empty<&'static [u8]>>(TokioIo::new(stream)).await;
    let (mut sender, connection) = opened.map_err(broken)?;
    let ask = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
        let body =
            body.map_err(|error| ProbeError::Service(format!("the answer broke off: {error}")))?;
        Ok((status, body.to_bytes().to_vec()))
    };
    tokio::select! {
        answer = ask => answer,
        Err(error) = connection => Err(broken(error)),
    }
}
