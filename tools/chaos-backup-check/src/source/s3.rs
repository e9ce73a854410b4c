//! A backup in object storage that speaks S3.
//!
//! What is read is one version: every request names the ETag of the object that was found
//! (`If-Match`), and a connection that breaks is taken up again by range, of the same version or
//! not at all.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest::MAX_FILE;
use chaos_backup_check::formats::pg_dump::directory::Files;
use chaos_common::config::S3;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _,
    RetryConfig,
};
use reqwest::Url;

use super::error::storage_words;
use super::remote::{Taker, stream, wait};
use super::{Absent, Neighbour, Source, SourceError, StoredBackup, StoredState};
use crate::context::Context;

/// Time that one request about an object may take.
const REQUEST: Duration = Duration::from_secs(20);
/// Time that such a request and its repetitions may take together.
const REQUESTS: Duration = Duration::from_secs(30);
/// A connection that gives not one byte for so long is broken.
const STALL: Duration = Duration::from_secs(60);
/// How often a connection is taken up again within one object, and for how long.
const RESUMES: usize = 10;
const RESUME: Duration = Duration::from_secs(24 * 60 * 60);
/// Objects under a prefix that are looked at.
const MAX_OBJECTS: usize = 1_000_000;
/// What names a manifest.
const MANIFEST: &str = ".manifest.json";
const TOC: &str = "toc.dat";

/// An object, or the objects of a dump in directory format.
#[derive(Clone)]
struct Objects {
    bucket: Bucket,
    /// The object's key; the folder's, without a slash at its end.
    key: Path,
    /// As they were when they were found. More than one for a folder.
    found: Vec<ObjectMeta>,
    folder: bool,
}

/// The two ways to a bucket.
#[derive(Clone)]
struct Bucket {
    /// For questions, which must be answered soon.
    ask: Arc<AmazonS3>,
    /// For bytes, which may take their time.
    read: Arc<AmazonS3>,
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
    fn open(name: &str, settings: &S3) -> anyhow::Result<Bucket> {
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

    /// All objects under a prefix.
    async fn list(&self, prefix: &Path) -> object_store::Result<Vec<ObjectMeta>> {
        let prefix = Some(prefix).filter(|prefix| !prefix.as_ref().is_empty());
        self.ask
            .list(prefix)
            .take(MAX_OBJECTS + 1)
            .try_collect()
            .await
    }
}

/// Finds an object, or the newest one under a prefix.
pub(super) fn open(bucket: &str, key: &str, context: &Context) -> Result<StoredBackup, Absent> {
    let (named, settings) = (bucket.to_owned(), context.config.s3.clone());
    let opened = wait(async move { Bucket::open(&named, &settings) }).map_err(|why| {
        Absent::unknown(format!("cannot be asked for: {why}"))
            .hint("see [s3] in chaos.toml, and the variables AWS_…")
    })?;
    let path = Path::parse(key.trim_end_matches('/'))
        .map_err(|error| Absent::unknown(format!("has a key that cannot be asked for: {error}")))?;
    let prefix = key.is_empty() || key.ends_with('/');
    let label = format!("s3://{bucket}");
    let objects = wait(async move {
        if prefix {
            return newest(opened, path).await;
        }
        let found = opened
            .ask
            .head(&path)
            .await
            .map_err(|error| absent(&error))?;
        Ok(Objects {
            bucket: opened,
            key: path,
            found: vec![found],
            folder: false,
        })
    })?;
    let before = objects.before();
    let name = objects.key.filename().unwrap_or_default().to_owned();
    let noun = if objects.folder {
        "a folder"
    } else {
        "an object"
    };
    let resolved = prefix.then(|| format!("{label}/{}", objects.key));
    let folder = objects.folder;
    Ok(StoredBackup {
        source: Box::new(objects),
        noun,
        folder,
        before,
        resolved,
        name,
    })
}

async fn newest(bucket: Bucket, prefix: Path) -> Result<Objects, Absent> {
    let mut all = bucket.list(&prefix).await.map_err(|error| absent(&error))?;
    if all.len() > MAX_OBJECTS {
        return Err(Absent::unknown(format!(
            "has more than {MAX_OBJECTS} objects under it; which is the newest was not found out"
        ))
        .hint("name a prefix that holds the backups alone"));
    }
    all.retain(|object| !object.location.as_ref().ends_with(MANIFEST));
    let newest = all
        .iter()
        .max_by_key(|object| (object.last_modified, object.location.clone()));
    let Some(newest) = newest.cloned() else {
        return Err(Absent::fail("has no object under it"));
    };
    // A dump in directory format is all objects of its folder.
    let folder = folder_of(&newest.location);
    let own = all
        .into_iter()
        .filter(|object| folder_of(&object.location) == folder);
    let own: Vec<ObjectMeta> = own.collect();
    if own
        .iter()
        .any(|object| object.location.filename() == Some(TOC))
    {
        return Ok(Objects {
            bucket,
            key: folder,
            found: own,
            folder: true,
        });
    }
    Ok(Objects {
        bucket,
        key: newest.location.clone(),
        found: vec![newest],
        folder: false,
    })
}

/// The key without its last part.
fn folder_of(key: &Path) -> Path {
    let parts: Vec<_> = key.parts().collect();
    parts[..parts.len().saturating_sub(1)]
        .iter()
        .cloned()
        .collect()
}

/// Why an object can't be looked at.
fn absent(error: &object_store::Error) -> Absent {
    let told = storage_words(error);
    match error {
        object_store::Error::NotFound { .. } => Absent::fail(format!("does not exist: {told}")),
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            Absent::unknown(format!("may not be looked at: {told}")).hint(
                "the key needs s3:GetObject on the object, and s3:ListBucket on the bucket; \
                    see [s3] in chaos.toml, and the variables AWS_…",
            )
        }
        _ => Absent::unknown(format!("cannot be looked at: {told}")).hint(
            "are s3.endpoint and \
            s3.region right, and is the way there open?",
        ),
    }
}

fn state(objects: &[ObjectMeta]) -> StoredState {
    let mut state = StoredState::default();
    for object in objects {
        state.size += object.size;
        state.modified = state.modified.max(Some(object.last_modified.into()));
        // Writing to memory cannot fail.
        let _ = write!(
            state.version,
            "{} {};",
            object.location,
            object.e_tag.as_deref().unwrap_or_default()
        );
    }
    state
}

impl Objects {
    fn before(&self) -> StoredState {
        state(&self.found)
    }

    fn get(&self, object: ObjectMeta) -> Box<dyn Read + Send> {
        let bucket = self.bucket.clone();
        Box::new(stream(move |taker| async move {
            get(&bucket, &object, &taker).await
        }))
    }

    fn manifest_key(&self) -> Path {
        Path::from(format!("{}{MANIFEST}", self.key))
    }
}

/// Streams one version of an object.
async fn get(bucket: &Bucket, object: &ObjectMeta, taker: &Taker) -> io::Result<()> {
    let failed = |error: object_store::Error| {
        io::Error::other(match &error {
            object_store::Error::Precondition { .. } => {
                "it was replaced by another while it was read".to_owned()
            }
            object_store::Error::NotFound { .. } => "it was deleted while it was read".to_owned(),
            _ => storage_words(&error),
        })
    };
    let options = GetOptions {
        if_match: object.e_tag.clone(),
        ..GetOptions::default()
    };
    let got = bucket
        .read
        .get_opts(&object.location, options)
        .await
        .map_err(failed)?;
    // Not every object storage minds If-Match.
    if got.meta.e_tag != object.e_tag || got.meta.size != object.size {
        return Err(io::Error::other(
            "it was replaced by another before it was read",
        ));
    }
    let (mut bytes, mut read) = (got.into_stream(), 0);
    while let Some(piece) = bytes.try_next().await.map_err(failed)? {
        read += piece.len() as u64;
        if !taker.give(piece.into()).await {
            return Ok(());
        }
    }
    if read == object.size {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the object storage gave {read} bytes of an object of {}",
        object.size
    )))
}

impl Files for Objects {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        let name = |object: &ObjectMeta| object.location.filename().unwrap_or_default().to_owned();
        Ok(self
            .found
            .iter()
            .map(|object| (name(object), true))
            .collect())
    }

    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let found = self
            .found
            .iter()
            .find(|object| object.location.filename() == Some(name))
            .cloned();
        let found =
            found.ok_or_else(|| FormatError::CannotTell("is not there any more".to_owned()))?;
        let size = found.size;
        Ok((self.get(found), size))
    }
}

impl Source for Objects {
    fn state(&self) -> Result<StoredState, SourceError> {
        let own = self.clone();
        let found = wait(async move {
            if !own.folder {
                return own
                    .bucket
                    .ask
                    .head(&own.key)
                    .await
                    .map(|object| vec![object]);
            }
            let mut all = own.bucket.list(&own.key).await?;
            all.retain(|object| {
                folder_of(&object.location) == own.key
                    && !object.location.as_ref().ends_with(MANIFEST)
            });
            Ok(all)
        });
        Ok(state(&found?))
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError> {
        Ok(self.get(self.found[0].clone()))
    }

    fn manifest_name(&self) -> String {
        self.manifest_key().to_string()
    }

    fn manifest(&self) -> Result<Option<Vec<u8>>, SourceError> {
        let (bucket, key) = (self.bucket.clone(), self.manifest_key());
        wait(async move {
            let got = match bucket.ask.get(&key).await {
                Ok(got) => got,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            if got.meta.size > MAX_FILE {
                return Err(SourceError::TooLarge(got.meta.size));
            }
            Ok(Some(got.bytes().await?.into()))
        })
    }

    fn neighbours(&self) -> Vec<Neighbour> {
        if self.folder {
            return Vec::new();
        }
        let (bucket, folder) = (self.bucket.clone(), folder_of(&self.key));
        let of = folder.clone();
        let all = wait(async move { bucket.list(&of).await }).unwrap_or_default();
        let own = all
            .into_iter()
            .filter(|object| folder_of(&object.location) == folder);
        let neighbour = |object: ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            Some(Neighbour {
                name,
                modified: object.last_modified.into(),
                size: object.size,
            })
        };
        own.filter_map(neighbour).collect()
    }

    fn seal(&self, text: &[u8]) -> Result<(), SourceError> {
        let (bucket, key, text) = (self.bucket.clone(), self.manifest_key(), text.to_vec());
        wait(async move { bucket.ask.put(&key, text.into()).await })?;
        Ok(())
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

    #[test]
    fn a_key_s_folder_is_what_is_before_its_last_part() {
        assert_eq!(folder_of(&Path::from("a/b/c.dump")).as_ref(), "a/b");
        assert_eq!(folder_of(&Path::from("c.dump")).as_ref(), "");
    }
}
