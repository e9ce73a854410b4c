//! The way of a trace to a collector: OTLP over HTTP, with the environment variables of its
//! specification.

use std::env;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cli::block_on;
use chaos_common::output::printable;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use prost::Message as _;

/// The longest that a collector is waited for, where the environment does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a trace did not get to where it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The environment variables do not fit together.
    #[error(transparent)]
    Settings(#[from] ExporterBuildError),
    /// It was not taken.
    #[error("{}", printable(&.0.to_string()))]
    NotTaken(#[from] OTelSdkError),
    /// The HTTP client can't be made.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// Some of it was not taken.
    #[error("the collector refused {spans} of its spans{}", because(.why))]
    PartlyRefused {
        /// How many.
        spans: i64,
        /// What the collector says of it; it may be empty.
        why: String,
    },
}

impl TraceError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            TraceError::PartlyRefused { .. } => {
                "see the collector's log, and the limits of what it writes to; send the trace again \
                 when it takes all: chaos-report < FILE.ndjson"
            }
            TraceError::Settings(_) | TraceError::NotTaken(_) | TraceError::Client(_) => {
                "see that OTEL_EXPORTER_OTLP_ENDPOINT names a collector that takes OTLP over HTTP, \
                 mostly on port 4318; send it later: chaos-report < FILE.ndjson"
            }
        }
    }
}

fn because(why: &str) -> String {
    match why {
        "" => String::new(),
        why => format!(": {}", printable(why)),
    }
}

/// Where traces are wanted, by the environment: `None` where nobody asked for them.
pub(crate) fn destination() -> Option<String> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let off = set("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"))
        || set("OTEL_TRACES_EXPORTER").is_some_and(|it| it == "none");
    let endpoint =
        set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    endpoint.filter(|_| !off).map(|it| without_user(&it))
}

/// A URL without the user and password that may stand in it.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// The HTTP client of the exporter. It keeps the collector's answer, which may say that a part was
/// refused: the exporter tells nobody.
#[derive(Clone, Debug)]
struct Client {
    http: reqwest::Client,
    answer: Arc<Mutex<Bytes>>,
}

impl Client {
    fn new() -> Result<Client, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(patience(|name| env::var(name).ok()));
        Ok(Client {
            http: http.build()?,
            answer: Arc::default(),
        })
    }

    /// What the collector said of the last request, after that was taken.
    fn judge(&self) -> Result<(), TraceError> {
        let answer = self.answer.lock().expect("nobody panics with it");
        // What is no message of the protocol, as an empty page, says nothing.
        let answer = ExportTraceServiceResponse::decode(answer.clone()).unwrap_or_default();
        match answer.partial_success {
            Some(part) if part.rejected_spans > 0 => Err(TraceError::PartlyRefused {
                spans: part.rejected_spans,
                why: part.error_message,
            }),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.http.send_bytes(request).await?;
        *self.answer.lock().expect("nobody panics with it") = response.body().clone();
        Ok(response)
    }
}

/// The longest that a collector is waited for, of the environment's variables, which count milliseconds.
fn patience(variable: impl Fn(&str) -> Option<String>) -> Duration {
    let set = |name| variable(name)?.parse().ok();
    set("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
        .or_else(|| set("OTEL_EXPORTER_OTLP_TIMEOUT"))
        .map_or(PATIENCE, Duration::from_millis)
}

/// Hands the spans to the collector. It takes no longer than `OTEL_EXPORTER_OTLP_TIMEOUT`, ten
/// seconds if that is not set.
///
/// # Errors
/// The environment is at odds with itself, or the collector did not take all of them.
pub(crate) fn send(spans: Vec<SpanData>) -> Result<(), TraceError> {
    block_on(async {
        let client = Client::new()?;
        let exporter = SpanExporter::builder().with_http();
        let mut exporter = exporter.with_http_client(client.clone()).build()?;
        let name = env::var_os("OTEL_SERVICE_NAME").is_none();
        let resource = Resource::builder();
        let resource = if name {
            resource.with_service_name("chaos")
        } else {
            resource
        };
        exporter.set_resource(&resource.build());
        exporter.export(spans).await?;
        client.judge()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_waited_for_as_long_as_the_environment_says() {
        for (variables, milliseconds) in [
            (&[][..], 10_000),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "300")], 300),
            (&[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], 10_000),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
                    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "20000"),
                ],
                20_000,
            ),
        ] {
            let waited = patience(|name| {
                let set = variables.iter().find(|(variable, _)| *variable == name);
                set.map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(waited.as_millis(), milliseconds, "{variables:?}");
        }
    }

    #[test]
    fn no_password_is_told() {
        for (url, shown) in [
            ("https://u:p@host:4318/v1@x", "https://host:4318/v1@x"),
            ("http://host:4318", "http://host:4318"),
            ("host", "host"),
        ] {
            assert_eq!(without_user(url), shown);
        }
    }
}
