//! Dumps in directory format.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

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

macro_rules! folder {
    ($folder:literal: $($name:literal),+) => {
        InMemory(BTreeMap::from([$(($name, fixture!($folder, "/", $name))),+]))
    };
}

fn judge(files: &InMemory) -> Result<String, FormatError> {
    directory::verify(files, &Expectations::default(), "x").map(|verified| verified.found.message)
}

#[test]
fn what_only_the_end_of_a_folders_file_shows_is_found() {
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

#[test]
fn a_folder_without_its_list_of_large_objects_is_not_whole() {
    let mut folder = folder!(
        "blobs-none.folder": "toc.dat", "3343.dat", "blobs.toc", "blob_100001.dat", "blob_100002.dat", "blob_100003.dat"
    );
    folder.0.remove("blobs.toc");
    let judged = judge(&folder);
    let Err(FormatError::Damaged(why)) = &judged else {
        panic!("{judged:?}")
    };
    assert!(why.contains("blobs.toc is missing"), "{why}");
}

#[test]
fn a_large_table_is_judged_to_its_last_byte() {
    const TABLE: &str = "3343.dat.gz";
    let small = folder!(
        "blobs-gzip.folder":
        "toc.dat", "3343.dat.gz", "blobs.toc", "blob_100001.dat.gz", "blob_100002.dat.gz", "blob_100003.dat.gz"
    );
    let mut rows = Vec::new();
    GzDecoder::new(&small.0[TABLE][..])
        .read_to_end(&mut rows)
        .expect("whole");
    let row: Vec<u8> = rows
        .split_inclusive(|byte| *byte == b'\n')
        .next()
        .expect("a row")
        .into();
    assert_ne!(row, b"\\.\n");
    let with = |change: &dyn Fn(&mut Vec<u8>), packed: &dyn Fn(&mut Vec<u8>)| {
        let mut text = [&row.repeat((1 << 20) / row.len())[..], &rows].concat();
        change(&mut text);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&text).expect("memory");
        let mut bytes = gzip.finish().expect("memory");
        packed(&mut bytes);
        let mut folder = small.clone();
        folder.0.insert(TABLE, bytes);
        (judge(&folder), text.len())
    };
    let as_it_is = |_: &mut Vec<u8>| {};
    with(&as_it_is, &as_it_is).0.expect("whole");
    let wrong = [
        with(&|text| text.extend_from_slice(b"x\n"), &as_it_is),
        with(&as_it_is, &|bytes| bytes.truncate(bytes.len() - 1)),
        with(&as_it_is, &|bytes| {
            bytes.extend_from_slice(b"something else");
        }),
        with(&as_it_is, &|bytes| {
            let checksum = bytes.len() - 8;
            bytes[checksum] ^= 1;
        }),
    ];
    let expected = |length: usize| {
        [
            "goes on behind its end mark".to_owned(),
            format!("ends too early, after {length} unpacked bytes"),
            format!("does not decompress after {length} unpacked bytes"),
            format!("does not decompress after {length} unpacked bytes"),
        ]
    };
    for (number, (judged, length)) in wrong.into_iter().enumerate() {
        let Err(FormatError::Damaged(why)) = judged else {
            panic!("{number}: {judged:?}")
        };
        assert!(why.contains(&expected(length)[number]), "{number}: {why}");
    }
}
