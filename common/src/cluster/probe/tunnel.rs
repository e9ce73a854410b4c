//! Asking through a tunnel to one of the Service's pods.

use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};

use super::{Endpoint, HttpProbe, MAX_BODY, ProbeError};
use crate::cluster::{ReadError, ReadErrorKind, error_chain};

impl HttpProbe {
    pub(super) async fn port_forward(
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
}
