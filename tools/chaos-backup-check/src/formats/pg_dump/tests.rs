//! Dumps that PostgreSQL 15 made (see `tests/fixtures/make-fixtures.sh`), whole and damaged; and
//! dumps built here for the versions of the format that it does not write.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write as _};

use chaos_common::record::{Contents, Status};
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::directory::{self, Files};
use super::examine;
use super::header::Form;
use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Inspection};

macro_rules! fixture {
    ($($name:literal),+) => {
        include_bytes!(concat!("../../../tests/fixtures/pgdump/", $($name),+)).to_vec()
    };
}

fn check(dump: &[u8]) -> Result<Inspection, FormatError> {
    examine(dump, Some(dump.len() as u64), &Expectations::default(), "x")
}

fn restorable(found: &Inspection) -> Status {
    found
        .checks
        .iter()
        .find(|check| check.id == "backup.restorable")
        .expect("always judged")
        .status
}

fn good(dump: &[u8]) -> Inspection {
    check(dump).expect("the dump is whole")
}

fn damage(dump: &[u8]) -> String {
    match check(dump) {
        Err(FormatError::Damaged(why)) => why,
        other => panic!("not damaged, but {other:?}"),
    }
}

fn rows(found: &Inspection, table: &str) -> Option<u64> {
    let Contents::Postgres { tables, .. } = &found.contents else {
        panic!("not a dump")
    };
    tables
        .iter()
        .find(|rows| rows.table == table)
        .map(|rows| rows.rows)
}

/// All whole dumps with data, and whether a flipped bit in their data always shows.
fn dumps() -> [(&'static str, Vec<u8>); 8] {
    [
        ("gzip", fixture!("gzip.dump")),
        ("piped", fixture!("piped.dump")),
        ("none", fixture!("none.dump")),
        ("piped-none", fixture!("piped-none.dump")),
        ("blobs", fixture!("blobs.dump")),
        ("blobs-piped-none", fixture!("blobs-piped-none.dump")),
        ("inserts", fixture!("inserts.dump")),
        ("data-only", fixture!("data-only.dump")),
    ]
}

/// The first byte of the data, and every byte in which deflate may leave bits unused: the last one
/// before the checksum. Found by walking over the chunks, as simply as can be.
fn layout(dump: &[u8]) -> (usize, Vec<usize>) {
    let mut input = super::input::Input::new(dump, Some(dump.len() as u64));
    let header = super::header::read(&mut input, Form::Custom).expect("a header");
    super::toc::read(&mut input, &header, Form::Custom).expect("a table of contents");
    let start = usize::try_from(input.position()).expect("small");
    let int = |at: usize| {
        u32::from_le_bytes(dump[at + 1..at + 5].try_into().expect("four bytes")) as usize
    };
    let (mut at, mut last) = (start, Vec::new());
    while at < dump.len() {
        let blobs = dump[at] == 3;
        at += 6;
        while !blobs || int(at) != 0 {
            at += if blobs { 5 } else { 0 };
            while int(at) != 0 {
                at += 5 + int(at);
            }
            last.push(at - 5);
            at += 5;
            if !blobs {
                break;
            }
        }
        at += if blobs { 5 } else { 0 };
    }
    (start, last)
}

#[test]
fn whole_dumps_pass_and_their_rows_are_counted() {
    for (name, dump) in dumps()
        .into_iter()
        .filter(|(name, _)| !name.contains("blobs") && *name != "inserts")
    {
        let found = good(&dump);
        let counted = [
            "users",
            "products",
            "orders",
            "we(ird, \"table\"",
            "nothing",
            "empty",
            "events_2026",
        ]
        .map(|table| rows(&found, &format!("public.{table}")));
        assert_eq!(
            counted,
            [
                Some(100),
                Some(40),
                Some(250),
                Some(2),
                Some(2),
                Some(0),
                Some(1)
            ],
            "{name}"
        );
    }
    let found = good(&fixture!("gzip.dump"));
    assert_eq!(restorable(&found), Status::Pass);
    let Contents::Postgres {
        version,
        database,
        server_version,
        compression,
        ..
    } = found.contents
    else {
        panic!("not a dump")
    };
    assert_eq!(
        (version.as_str(), database.as_str(), compression.as_str()),
        ("1.14", "ecommerce", "gzip")
    );
    assert!(server_version.starts_with("15."), "{server_version}");
}

#[test]
fn large_objects_and_inserts_are_read() {
    for dump in [fixture!("blobs.dump"), fixture!("blobs-piped-none.dump")] {
        let found = good(&dump);
        assert!(
            found.message.contains("3 large objects"),
            "{}",
            found.message
        );
        assert_eq!(rows(&found, "public.users"), Some(100));
    }
    let inserts = good(&fixture!("inserts.dump"));
    assert_eq!(
        rows(&inserts, "public.users"),
        None,
        "statements are not counted"
    );
}

#[test]
fn large_objects_are_those_of_the_table_of_contents() {
    let dump = fixture!("blobs-piped-none.dump");
    // The last large object is empty: oid, no chunk, and the end of the list.
    let oid = dump.len() - 15;
    assert_eq!(&dump[oid..oid + 5], [0, 0xa3, 0x86, 1, 0]);
    let mut other = dump.clone();
    other[oid + 1] ^= 4;
    assert!(
        damage(&other).contains("large object 100007"),
        "{}",
        damage(&other)
    );
    let fewer = [&dump[..oid], &dump[oid + 10..]].concat();
    assert!(
        damage(&fewer).contains("large object 100003"),
        "{}",
        damage(&fewer)
    );
}

#[test]
fn neither_data_without_definitions_nor_definitions_without_data_restore() {
    assert_eq!(restorable(&good(&fixture!("data-only.dump"))), Status::Fail);
    assert_eq!(
        restorable(&good(&fixture!("schema-only.dump"))),
        Status::Fail
    );
}

#[test]
fn every_cut_is_found() {
    for (name, dump) in dumps() {
        let mut cuts = 0;
        for length in
            (0..dump.len()).filter(|at| at % 41 == 0 || *at < 100 || dump.len() - at < 100)
        {
            assert!(
                check(&dump[..length]).is_err(),
                "{name} cut to {length} of {} bytes passes",
                dump.len()
            );
            cuts += 1;
        }
        assert!(cuts > 200, "{name}: {cuts}");
        let why = damage(&dump[..dump.len() - 1]);
        assert!(
            why.contains("cut") && why.contains(&(dump.len() - 1).to_string()),
            "{name}: {why}"
        );
    }
}

#[test]
fn a_cut_between_two_blocks_names_the_table_that_is_missing() {
    let dump = fixture!("piped.dump");
    let (_, ends) = layout(&dump);
    let why = damage(&dump[..ends[ends.len() - 2] + 10]);
    assert!(
        why.contains("lacks 1 of 7 blocks, the first of them that of public."),
        "{why}"
    );
    let (start, _) = layout(&dump);
    assert!(damage(&dump[..start]).contains("lacks 7 of 7 blocks"));
}

#[test]
fn flipped_bits_in_compressed_data_are_found() {
    let (mut tried, mut passed) = (0, Vec::new());
    for (name, dump) in dumps()
        .into_iter()
        .filter(|(name, _)| !name.contains("none"))
    {
        let (start, last) = layout(&dump);
        // One bit of every second byte of the small dump, one bit of every eleventh byte of the
        // others.
        let step = if name == "blobs" { 2 } else { 11 };
        for (at, bit) in (start..dump.len())
            .step_by(step)
            .map(|at| (at, at / step % 8))
        {
            let mut flipped = dump.clone();
            flipped[at] ^= 1 << bit;
            tried += 1;
            if check(&flipped).is_ok() && !last.contains(&at) {
                passed.push((name, at, bit));
            }
        }
    }
    // Adler-32 is weak: in two dumps of the same data one flip leads to the same checksum.
    assert!(tried > 2500 && passed.len() <= 2, "{passed:?} of {tried}");
}

#[test]
fn flipped_bits_in_data_that_is_not_compressed_may_pass_and_zeros_do_not() {
    let dump = fixture!("none.dump");
    let (start, _) = layout(&dump);
    let flips = (start..dump.len()).step_by(23).map(|at| {
        let mut flipped = dump.clone();
        flipped[at] ^= 1;
        check(&flipped).is_ok()
    });
    assert!(
        flips.filter(|passes| *passes).count() > 50,
        "a limit of the format: see the module's documentation"
    );
    for (name, dump) in [
        ("none", dump),
        ("gzip", fixture!("gzip.dump")),
        ("piped", fixture!("piped.dump")),
    ] {
        for at in (0..dump.len() - 64).step_by(307) {
            let mut zeroed = dump.clone();
            zeroed[at..at + 64].fill(0);
            assert!(check(&zeroed).is_err(), "{name} with zeros at {at} passes");
        }
    }
}

#[test]
fn whatever_follows_the_data_is_found() {
    for (name, dump) in dumps() {
        for tail in [&b"\0"[..], b"x", b"garbage", &[0; 4096], &[1], &[3], &dump] {
            let long = [&dump, tail].concat();
            assert!(
                matches!(check(&long), Err(FormatError::Damaged(_))),
                "{name} and {} bytes",
                tail.len()
            );
        }
    }
    let dump = fixture!("gzip.dump");
    let why = damage(&[&dump[..], &dump].concat());
    assert!(
        why.contains(&format!("byte {}", dump.len())) && why.contains("second dump"),
        "{why}"
    );
}

#[test]
fn a_block_that_comes_twice_or_not_where_it_should_is_found() {
    let dump = fixture!("piped.dump");
    let (start, ends) = layout(&dump);
    let second = ends[0] + 10;
    let twice = [&dump[..second], &dump[start..second], &dump[second..]].concat();
    assert!(
        damage(&twice).contains("second block"),
        "{}",
        damage(&twice)
    );
    let swapped = [&dump[..start], &dump[second..], &dump[start..second]].concat();
    assert!(check(&swapped).is_ok(), "without offsets any order is good");
    let dump = fixture!("gzip.dump");
    let swapped = [&dump[..start], &dump[second..], &dump[start..second]].concat();
    assert!(
        damage(&swapped).contains("by the table of contents"),
        "{}",
        damage(&swapped)
    );
}

#[test]
fn what_is_no_dump_is_named() {
    assert!(damage(&[0; 5000]).contains("zero bytes"));
    assert!(damage(b"hello, world").contains("PGDMP"));
    assert!(damage(b"PGD").contains("cut"));
    let mut newer = fixture!("gzip.dump");
    newer[6] = 17;
    assert!(matches!(check(&newer), Err(FormatError::CannotTell(why)) if why.contains("1.17")));
}

#[test]
fn damage_before_the_data_never_panics() {
    let dump = fixture!("blobs.dump");
    let (start, _) = layout(&dump);
    let mut found = 0;
    for at in 0..start {
        let mut flipped = dump.clone();
        flipped[at] ^= 1 << (at % 8);
        found += usize::from(check(&flipped).is_err());
    }
    assert!(found > start / 4, "{found} of {start} flips found");
}

/// A dump with one table and its rows, in the given version of the format.
fn build(minor: u8, codec: u8, chunks: &[&[u8]]) -> Vec<u8> {
    let int = |value: i32| {
        let mut bytes = vec![u8::from(value < 0)];
        bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes());
        bytes
    };
    let text = |text: &str| [int(i32::try_from(text.len()).expect("short")), text.into()].concat();
    let none = || int(-1);
    let entry = |id: i32, desc: &str, section: i32, copy: &str, dumped: bool| {
        let mut entry = [
            int(id),
            int(i32::from(dumped)),
            text("0"),
            text("0"),
            text("users"),
            text(desc),
        ]
        .concat();
        let definition = if desc == "ENCODING" {
            "SET client_encoding = 'UTF8';\n"
        } else {
            ""
        };
        entry.extend(
            [
                int(section),
                text(definition),
                text(""),
                text(copy),
                text("public"),
                none(),
            ]
            .concat(),
        );
        entry.extend(if minor >= 14 {
            text("heap")
        } else {
            Vec::new()
        });
        entry.extend(if minor >= 16 {
            int(i32::from(b'r'))
        } else {
            Vec::new()
        });
        entry.extend([text("postgres"), text("false"), text("2"), none()].concat());
        entry.push(if dumped { 1 } else { 3 });
        entry.extend([0; 8]);
        entry
    };
    let mut dump = b"PGDMP\x01".to_vec();
    dump.extend([minor, 0, 4, 8, 1]);
    dump.extend(if minor >= 15 {
        vec![codec]
    } else {
        int(i32::from(codec))
    });
    dump.extend([0, 30, 15, 22, 10, 126, 0].into_iter().flat_map(int));
    dump.extend([text("ecommerce"), text("17.2"), text("17.2"), int(3)].concat());
    dump.extend(entry(1, "ENCODING", 2, "", false));
    dump.extend(entry(2, "TABLE", 2, "", false));
    dump.extend(entry(
        3,
        "TABLE DATA",
        3,
        "COPY public.users (id, name) FROM stdin;\n",
        true,
    ));
    dump.push(1);
    dump.extend(int(3));
    for chunk in chunks {
        dump.extend(int(i32::try_from(chunk.len()).expect("short")));
        dump.extend_from_slice(chunk);
    }
    dump.extend(int(0));
    dump
}

#[test]
fn all_versions_of_the_format_are_read() {
    let data = b"1\talice\n2\tbob\n\\.\n\n\n";
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(data).expect("memory");
    let zlib = zlib.finish().expect("memory");
    for minor in 12..=16 {
        for dump in [
            build(minor, 0, &[&data[..5], &data[5..]]),
            build(minor, 1, &[&zlib[..3], &zlib[3..]]),
        ] {
            assert_eq!(rows(&good(&dump), "public.users"), Some(2), "1.{minor}");
            for length in 0..dump.len() {
                assert!(check(&dump[..length]).is_err(), "1.{minor} cut to {length}");
            }
        }
    }
    let trailing = build(16, 1, &[&zlib, b"x"]);
    assert!(
        damage(&trailing).contains("behind its compressed stream"),
        "{}",
        damage(&trailing)
    );
    let wrong = build(16, 0, &[b"1\talice\n2\n\\.\n\n\n"]);
    assert!(
        damage(&wrong).contains("row 2 has 1 columns, and the table 2"),
        "{}",
        damage(&wrong)
    );
    assert!(
        damage(&build(16, 1, &[])).contains("compressed stream"),
        "no stream at all"
    );
}

#[test]
fn lz4_and_zstd_are_read_to_the_end() {
    let data = b"1\talice\n2\tbob\n\\.\n\n\n";
    let zstd = zstd::encode_all(&data[..], 3).expect("memory");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(data).expect("memory");
    let lz4 = lz4.finish().expect("memory");
    for (codec, packed) in [(2, lz4), (3, zstd)] {
        let dump = build(16, codec, &[&packed[..7], &packed[7..]]);
        assert_eq!(rows(&good(&dump), "public.users"), Some(2), "{codec}");
        for length in 0..packed.len() {
            assert!(
                check(&build(16, codec, &[&packed[..length]])).is_err(),
                "{codec}: stream cut to {length}"
            );
        }
        let more = build(16, codec, &[&packed, b"x"]);
        assert!(damage(&more).contains("public.users"), "{}", damage(&more));
        assert!(damage(&dump[..dump.len() - 1]).contains("cut"));
        assert!(damage(&build(16, codec, &[b"opaque", b"bytes"])).contains("does not decompress"));
    }
}

#[test]
fn dumps_of_postgresql_17_with_lz4_and_zstd_are_read() {
    for (name, dump) in [
        ("lz4", fixture!("lz4.dump")),
        ("zstd", fixture!("zstd.dump")),
    ] {
        let found = good(&dump);
        let Contents::Postgres {
            version,
            compression,
            server_version,
            ..
        } = &found.contents
        else {
            panic!("not a dump")
        };
        assert_eq!((version.as_str(), compression.as_str()), ("1.16", name));
        assert!(server_version.starts_with("17."), "{server_version}");
        assert_eq!(rows(&found, "public.moods"), Some(150));
        for length in (0..dump.len()).filter(|at| at % 97 == 0 || dump.len() - at < 60) {
            assert!(
                check(&dump[..length]).is_err(),
                "{name} cut to {length} of {}",
                dump.len()
            );
        }
    }
}

#[test]
fn lengths_that_cannot_be_true_do_not_fill_memory() {
    let mut dump = build(16, 0, &[b"\\.\n"]);
    let chunk = dump.len() - 5 - 3 - 5;
    dump[chunk + 1..chunk + 5].fill(0x7f);
    assert!(damage(&dump).contains("claims"), "{}", damage(&dump));
}

/// Found by fuzzing: a text that the end of a buffer cut was only looked at for zero bytes.
#[test]
fn texts_that_come_in_pieces_are_judged_like_others() {
    let mut dump = fixture!("gzip.dump");
    let at = memchr::memmem::find(&dump, b"CREATE TABLE public.orders").expect("a definition");
    let pieces = |dump: &[u8]| {
        let reader = std::io::BufReader::with_capacity(7, dump);
        examine(
            reader,
            Some(dump.len() as u64),
            &Expectations::default(),
            "x",
        )
    };
    assert!(pieces(&dump).is_ok());
    dump[at + 13] = 0xff;
    assert!(damage(&dump).contains("UTF-8"), "{}", damage(&dump));
    assert!(matches!(pieces(&dump), Err(FormatError::Damaged(why)) if why.contains("UTF-8")));
}

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
