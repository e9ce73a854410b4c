//! The way of a trace to a collector: OTLP over HTTP, with the environment variables of its
//! specification.

use std::env;

use chaos_common::cli::block_on;
use chaos_common::output::printable;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

/// Why a trace did not get to where it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TraceError {
    /// The environment variables do not fit together.
    #[error(transparent)]
    Settings(#[from] ExporterBuildError),
    /// It was not taken.
    #[error("{}", printable(&.0.to_string()))]
    NotTaken(#[from] OTelSdkError),
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

/// Hands the spans to the collector. It takes no longer than `OTEL_EXPORTER_OTLP_TIMEOUT`, ten
/// seconds if that is not set.
///
/// # Errors
/// The environment is at odds with itself, or the collector did not take them.
pub(crate) fn send(spans: Vec<SpanData>) -> Result<(), TraceError> {
    block_on(async {
        let mut exporter = SpanExporter::builder().with_http().build()?;
        let name = env::var_os("OTEL_SERVICE_NAME").is_none();
        let resource = Resource::builder();
        let resource = if name {
            resource.with_service_name("chaos")
        } else {
            resource
        };
        exporter.set_resource(&resource.build());
        exporter.export(spans).await?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::without_user;

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
