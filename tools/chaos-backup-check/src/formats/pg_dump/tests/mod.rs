//! Dumps that PostgreSQL 15 made (see `tests/fixtures/make-fixtures.sh`), whole and damaged.

use chaos_common::record::{Contents, Status};

use super::examine;
use super::header::Form;
use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Inspection};

macro_rules! fixture {
    ($($name:literal),+) => {
        include_bytes!(concat!("../../../../tests/fixtures/pgdump/", $($name),+)).to_vec()
    };
}

mod counted;
mod folders;
mod versions;
mod written;

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
    assert_eq!(rows(&inserts, "public.users"), Some(100));
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
