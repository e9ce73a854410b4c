//! A backup in object storage that speaks S3.
//!
//! What is read is one version: every request names the ETag of the object that was found
//! (`If-Match`), and a connection that breaks is taken up again by range, of the same version or
//! not at all.

use std::fmt::Write as _;
use std::io::{self, Read};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest::MAX_FILE;
use chaos_backup_check::formats::pg_dump::directory::Files;
use futures::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore as _, ObjectStoreExt as _};

use super::dump_folder::{TOC, is_member};
use super::error::storage_words;
use super::neighbours::{Neighbour, Row};
use super::remote::{Taker, stream, wait};
use super::s3_bucket::Bucket;
use super::selection::{Seen, Selection};
use super::{Absent, Source, SourceError, StoredBackup, StoredState, s3_listing};
use crate::context::Context;

/// What names a manifest.
const MANIFEST: &str = ".manifest.json";

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

/// Finds an object (bucket and key), or the newest one under a prefix.
pub(super) fn open(
    (bucket, key): (&str, &str),
    selection: Selection,
    context: &Context,
) -> Result<StoredBackup, Absent> {
    let (named, settings) = (bucket.to_owned(), context.config.s3.clone());
    let opened = wait(async move { Bucket::open(&named, &settings) }).map_err(|why| {
        Absent::unknown(format!("cannot be asked for: {why}"))
            .hint("see [s3] in chaos.toml, and the variables AWS_…")
    })?;
    let path = Path::parse(key.trim_end_matches('/'))
        .map_err(|error| Absent::unknown(format!("has a key that cannot be asked for: {error}")))?;
    let chosen = key.is_empty() || key.ends_with('/');
    let (objects, passed_over) = wait(async move {
        if chosen {
            return newest(opened, path, &selection).await;
        }
        let head = opened.ask.head(&path).await;
        let found = Objects {
            found: vec![head.map_err(|error| absent(&error))?],
            bucket: opened,
            key: path,
            folder: false,
        };
        Ok((found, None))
    })?;
    let noun = if objects.folder {
        "a folder"
    } else {
        "an object"
    };
    Ok(StoredBackup {
        noun,
        folder: objects.folder,
        before: objects.before(),
        resolved: chosen.then(|| format!("s3://{bucket}/{}", objects.key)),
        chosen,
        passed_over,
        name: objects.key.filename().unwrap_or_default().to_owned(),
        source: Box::new(objects),
    })
}

/// The newest of those that were seen so far.
#[derive(Default)]
struct Newest {
    found: Option<ObjectMeta>,
    /// One without bytes: a backup that failed, or the mark that stands for a folder.
    empty: Option<ObjectMeta>,
    seen: Seen,
}

impl Newest {
    fn see(&mut self, object: ObjectMeta, selection: &Selection) {
        let key = &object.location;
        let (name, folder) = (key.filename().unwrap_or_default(), folder_of(key));
        // A dump in directory format is known by the name of its folder.
        let of_dump = selection.dumps && is_member(name);
        let name = if of_dump {
            folder.filename()
        } else {
            Some(name)
        };
        if !selection.lets_in(name.unwrap_or_default(), object.size, &mut self.seen) {
            return;
        }
        let best = if object.size == 0 {
            &mut self.empty
        } else {
            &mut self.found
        };
        if best.as_ref().is_none_or(|best| rank(best) < rank(&object)) {
            *best = Some(object);
        }
    }

    /// The newest; an empty one only where it is really an object of that name.
    async fn choose(&self, bucket: &Bucket) -> object_store::Result<Option<ObjectMeta>> {
        let newer = |empty: &&ObjectMeta| {
            let found = self.found.as_ref();
            found.is_none_or(|found| rank(found) < rank(empty))
        };
        if let Some(empty) = self.empty.as_ref().filter(newer) {
            match bucket.ask.head(&empty.location).await {
                Err(object_store::Error::NotFound { .. }) => {}
                found => return found.map(Some),
            }
        }
        Ok(self.found.clone())
    }
}

fn rank(object: &ObjectMeta) -> impl Ord + '_ {
    (object.last_modified, &object.location)
}

async fn newest(
    bucket: Bucket,
    prefix: Path,
    selection: &Selection,
) -> Result<(Objects, Option<String>), Absent> {
    let mut newest = Newest::default();
    let listed = s3_listing::each(&bucket.ask, &prefix, |object| {
        newest.see(object, selection);
    });
    let skipped = listed.await.map_err(|error| absent(&error))?;
    let chosen = newest.choose(&bucket).await;
    let Some(chosen) = chosen.map_err(|error| absent(&error))? else {
        let none = selection.none("a prefix", newest.seen);
        return Err(match skipped.told() {
            None => none,
            Some(told) => Absent::unknown(format!("{}; {told}", none.why)),
        });
    };
    let (key, folder) = (chosen.location.clone(), folder_of(&chosen.location));
    let name = key.filename().unwrap_or_default();
    if selection.dumps && is_member(name) {
        // A dump in directory format is all objects of its folder.
        let own = in_folder(&bucket, &folder).await;
        let own = own.map_err(|error| absent(&error))?;
        if own.iter().any(|it| it.location.filename() == Some(TOC)) {
            let objects = Objects {
                bucket,
                key: folder,
                found: own,
                folder: true,
            };
            return Ok((objects, skipped.told()));
        }
    }
    let objects = Objects {
        bucket,
        key,
        found: vec![chosen],
        folder: false,
    };
    Ok((objects, skipped.told()))
}

/// The objects of a folder, but for manifests.
async fn in_folder(bucket: &Bucket, folder: &Path) -> object_store::Result<Vec<ObjectMeta>> {
    let mut own = Vec::new();
    s3_listing::each(&bucket.ask, folder, |object| {
        let manifest = object.location.as_ref().ends_with(MANIFEST);
        if folder_of(&object.location) == *folder && !manifest {
            own.push(object);
        }
    })
    .await?;
    Ok(own)
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
            in_folder(&own.bucket, &own.key).await
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

    fn neighbours(&self, mut row: Row) -> Row {
        if self.folder {
            return row;
        }
        let (bucket, folder) = (self.bucket.clone(), folder_of(&self.key));
        wait(async move {
            let listed = s3_listing::each(&bucket.ask, &folder, |object| {
                if folder_of(&object.location) == folder {
                    row.add(Neighbour {
                        name: object.location.filename().unwrap_or_default().to_owned(),
                        modified: object.last_modified.into(),
                        size: object.size,
                    });
                }
            });
            // Those that could not be listed are not compared with.
            let _ = listed.await;
            row
        })
    }

    fn identity(&self) -> Option<String> {
        let [object] = &self.found[..] else {
            return None;
        };
        let (tag, size) = (object.e_tag.as_ref()?, object.size);
        let modified = object.last_modified.to_rfc3339();
        Some(format!("{} {tag} {size} {modified}", object.location))
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
    fn a_key_s_folder_is_what_is_before_its_last_part() {
        assert_eq!(folder_of(&Path::from("a/b/c.dump")).as_ref(), "a/b");
        assert_eq!(folder_of(&Path::from("c.dump")).as_ref(), "");
    }
}
