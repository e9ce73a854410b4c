//! The objects under a prefix, one after the other: of however many there are, one page is in memory.
//!
//! A key with an empty part, such as `db//shop.dump`, can't be asked for by the library that talks
//! to the storage, which gives up the whole page that it is on. So pages become smaller until the
//! key stands alone, and all that begins like it is passed over.

use object_store::ObjectMeta;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::{self, Path};

/// Objects of a page.
const PAGE: usize = 1000;
/// Behind every key that begins like another.
const LAST: char = '\u{10ffff}';

/// Keys that could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    /// The first of each kind, as they stand in the storage.
    keys: Vec<String>,
}

impl Skipped {
    /// For people; nothing where all was looked at.
    pub(super) fn told(&self) -> Option<String> {
        let first = self.keys.first()?;
        let more = match self.keys.len() {
            1 => String::new(),
            number => format!(" and {} more like it", number - 1),
        };
        Some(format!(
            "the key {first:?}{more}, and what begins like it, cannot be asked for and was passed over"
        ))
    }
}

/// Hands on every object whose key begins with the prefix and a slash.
pub(super) async fn each(
    storage: &AmazonS3,
    prefix: &Path,
    mut take: impl FnMut(ObjectMeta),
) -> object_store::Result<Skipped> {
    let folder = match prefix.as_ref() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let mut skipped = Skipped::default();
    let (mut page, mut offset, mut page_token) = (PAGE, None, None);
    loop {
        let options = PaginatedListOptions {
            offset: Option::clone(&offset),
            page_token: Option::clone(&page_token),
            max_keys: Some(page),
            ..PaginatedListOptions::default()
        };
        let listed = match storage.list_paginated(Some(&folder), options).await {
            Ok(listed) => listed,
            Err(object_store::Error::InvalidPath { .. }) if page > 1 => {
                page /= 2;
                continue;
            }
            Err(object_store::Error::InvalidPath { source }) => {
                let Some(key) = key_of(&source) else {
                    return Err(source.into());
                };
                offset = Some(behind(&key));
                (page, page_token) = (PAGE, None);
                skipped.keys.push(key);
                continue;
            }
            Err(error) => return Err(error),
        };
        // The mark that stands for the folder itself is no object in it.
        let inside = listed.result.objects.into_iter();
        inside
            .filter(|object| object.location != *prefix)
            .for_each(&mut take);
        if listed.page_token.is_none() {
            return Ok(skipped);
        }
        page_token = listed.page_token;
        page = (page * 2).min(PAGE);
    }
}

fn key_of(error: &path::Error) -> Option<String> {
    match error {
        path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => {
            Some(path.clone())
        }
        _ => None,
    }
}

/// Where to go on behind a key, and behind all that have its first empty part too.
fn behind(key: &str) -> String {
    match key.find("//") {
        Some(at) => format!("{}{LAST}", &key[..at + 2]),
        None => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_same_empty_part_is_passed_over_at_once() {
        let end = behind("db//shop.dump");
        assert!(end.as_str() > "db//zz" && end.as_str() < "db/0", "{end:?}");
        assert_eq!(behind("db/a"), "db/a");
        let one = Skipped {
            keys: vec!["db//x".to_owned()],
        };
        assert!(one.told().is_some_and(|told| told.contains("\"db//x\"")));
        assert_eq!(Skipped::default().told(), None);
    }
}
