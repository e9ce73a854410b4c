//! The way to a bucket of object storage: address, keys, patience.

use std::sync::Arc;
use std::time::Duration;

use chaos_common::config::S3;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use reqwest::Url;

/// Time that one request about an object may take.
const REQUEST: Duration = Duration::from_secs(20);
/// Time that such a request and its repetitions may take together.
const REQUESTS: Duration = Duration::from_secs(30);
/// A connection that gives not one byte for so long is broken.
const STALL: Duration = Duration::from_secs(60);
/// How often a connection is taken up again within one object, and for how long.
const RESUMES: usize = 10;
const RESUME: Duration = Duration::from_secs(24 * 60 * 60);

/// The two ways to a bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    /// For questions, which must be answered soon.
    pub(super) ask: Arc<AmazonS3>,
    /// For bytes, which may take their time.
    pub(super) read: Arc<AmazonS3>,
}

/// Why the address of the object storage, which the named setting gives, is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndpointError {
    #[error("{0} is no address")]
    NoAddress(&'static str),
    #[error(
        "{0} is http://, where backups and what opens them can be read on the way: \
         use https://, or say s3.allow_http = true"
    )]
    NotEncrypted(&'static str),
    #[error("{0} begins with neither https:// nor http://")]
    Scheme(&'static str),
}

/// The address of the object storage, if there is one. Without encryption only this very machine is
/// talked to, unless the configuration says otherwise.
pub(super) fn endpoint(settings: &S3) -> Result<Option<Url>, EndpointError> {
    let builder = AmazonS3Builder::from_env();
    let of_env = |key| builder.get_config_value(key);
    let of_env =
        || of_env(&AmazonS3ConfigKey::S3Endpoint).or_else(|| of_env(&AmazonS3ConfigKey::Endpoint));
    let (named, by) = match &settings.endpoint {
        Some(endpoint) => (Some(endpoint.clone()), "s3.endpoint"),
        None => (of_env(), "$AWS_ENDPOINT_URL"),
    };
    let Some(named) = named else { return Ok(None) };
    let url = Url::parse(&named).map_err(|_| EndpointError::NoAddress(by))?;
    let local = match url.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    };
    match url.scheme() {
        "https" => Ok(Some(url)),
        "http" if local || settings.allow_http => Ok(Some(url)),
        "http" => Err(EndpointError::NotEncrypted(by)),
        _ => Err(EndpointError::Scheme(by)),
    }
}

impl Bucket {
    pub(super) fn open(name: &str, settings: &S3) -> anyhow::Result<Bucket> {
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(name);
        let endpoint = endpoint(settings)?;
        let plain = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
        if settings.endpoint.is_some() {
            let url = endpoint
                .as_ref()
                .map(Url::as_str)
                .unwrap_or_default()
                .trim_end_matches('/');
            builder = builder
                .with_config(AmazonS3ConfigKey::S3Endpoint, url)
                .with_endpoint(url);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(key) = &settings.access_key {
            builder = builder.with_access_key_id(key.read()?);
        }
        if let Some(key) = &settings.secret_key {
            builder = builder.with_secret_access_key(key.read()?);
        }
        let options = ClientOptions::new()
            .with_allow_http(plain)
            .with_connect_timeout(Duration::from_secs(5));
        let retry = |times, together, longest| RetryConfig {
            backoff: BackoffConfig {
                max_backoff: longest,
                ..BackoffConfig::default()
            },
            max_retries: times,
            retry_timeout: together,
        };
        let built = |builder: AmazonS3Builder| builder.build().map(Arc::new);
        Ok(Bucket {
            ask: built(
                builder
                    .clone()
                    .with_client_options(options.clone().with_timeout(REQUEST))
                    .with_retry(retry(3, REQUESTS, Duration::from_secs(2))),
            )?,
            read: built(
                builder
                    .with_client_options(options.with_timeout_disabled().with_read_timeout(STALL))
                    .with_retry(retry(RESUMES, RESUME, Duration::from_secs(5))),
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_encryption_only_this_machine_is_talked_to() {
        let of = |address: &str, allow_http| {
            endpoint(&S3 {
                endpoint: Some(address.to_owned()),
                allow_http,
                ..S3::default()
            })
        };
        for good in [
            "https://s3.example",
            "http://127.0.0.1:9000",
            "http://[::1]:9000",
            "http://localhost",
        ] {
            assert!(of(good, false).is_ok(), "{good}");
        }
        assert!(of("http://s3.example", true).is_ok());
        for bad in [
            "http://s3.example",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "ftp://s3.example",
            "s3.example",
        ] {
            assert!(of(bad, false).is_err(), "{bad}");
        }
    }
}
