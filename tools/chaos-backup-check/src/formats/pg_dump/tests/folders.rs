//! Dumps in directory format.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use crate::formats::error::FormatError;
use crate::formats::inspection::Expectations;
use crate::formats::pg_dump::directory::{self, Files};

/// A folder's files, in memory.
#[derive(Clone)]
struct InMemory(BTreeMap<&'static str, Vec<u8>>);

impl Files for InMemory {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        Ok(self
            .0
            .keys()
            .map(|name| ((*name).to_owned(), true))
            .collect())
    }

    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let bytes = self.0[name].clone();
        let length = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), length))
    }
}

#[test]
fn what_only_the_end_of_a_folders_file_shows_is_found() {
    let judge = |files: &InMemory| {
        directory::verify(files, &Expectations::default(), "x")
            .map(|verified| verified.found.message)
    };
    macro_rules! folder {
        ($folder:literal: $($name:literal),+) => {
            InMemory(BTreeMap::from([$(($name, fixture!($folder, "/", $name))),+]))
        };
    }
    let plain = folder!(
        "blobs-none.folder": "toc.dat", "3343.dat", "blobs.toc", "blob_100001.dat", "blob_100002.dat", "blob_100003.dat"
    );
    judge(&plain).expect("whole");
    let mut cut = plain.clone();
    cut.0.get_mut("3343.dat").expect("there").pop();
    assert!(
        matches!(judge(&cut), Err(FormatError::Damaged(why)) if why.contains("3343.dat does not end with two empty lines"))
    );
    let packed = folder!(
        "blobs-gzip.folder":
        "toc.dat", "3343.dat.gz", "blobs.toc", "blob_100001.dat.gz", "blob_100002.dat.gz", "blob_100003.dat.gz"
    );
    judge(&packed).expect("whole");
    let mut twice = packed;
    let blob = twice.0.get_mut("blob_100001.dat.gz").expect("there");
    blob.extend_from_within(..);
    assert!(
        matches!(judge(&twice), Err(FormatError::Damaged(why)) if why.contains("behind its compressed stream"))
    );
}
