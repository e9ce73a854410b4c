//! Archives that GNU tar made (see `tests/fixtures/make-fixtures.sh`), and maps that are damaged.

use std::os::unix::fs::MetadataExt as _;

use super::*;

pub(in super::super) fn fixture(name: &str) -> Vec<u8> {
    let file = File::open(format!("tests/fixtures/tar/{name}.tar.gz")).expect("a fixture");
    let mut bytes = Vec::new();
    let mut archive = flate2::read::GzDecoder::new(file);
    archive.read_to_end(&mut bytes).expect("whole");
    bytes
}

/// Unpacks what is sparse, and says for each whether its name was good.
fn unpack(archive: &[u8], folder: &Path) -> io::Result<Vec<bool>> {
    let mut inside = Vec::new();
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        if let Some(records) = SparseRecords::of_entry(&mut entry)? {
            inside.push(unpack_in(folder, &mut entry, &records)?);
        }
    }
    Ok(inside)
}

fn filled(size: usize, parts: impl IntoIterator<Item = (usize, String)>) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for (at, part) in parts {
        bytes[at..at + part.len()].copy_from_slice(part.as_bytes());
    }
    bytes
}

#[test]
fn files_are_what_gnu_tar_was_given() {
    let parts = [
        (3 * 4096, "first".to_owned()),
        (200 * 4096, "last".to_owned()),
    ];
    let expected = [
        ("holes", filled(1_000_001, parts)),
        (
            "many",
            filled(60 * 8192 + 2, (1..=60).map(|i| (i * 8192, i.to_string()))),
        ),
        ("nothing", vec![0; 65536]),
    ];
    for version in ["0.0", "0.1", "1.0"] {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = unpack(&fixture(&format!("sparse-{version}")), folder.path());
        assert_eq!(inside.expect("whole"), [true; 3], "{version}");
        for (name, bytes) in &expected {
            let file = folder.path().join(name);
            let unpacked = std::fs::read(&file).expect("unpacked");
            assert!(unpacked == *bytes, "{name} of {version}");
        }
        let names = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(names, expected.len(), "{version}");
        let holes = std::fs::metadata(folder.path().join("holes")).expect("unpacked");
        assert_eq!(holes.mode() & 0o777, 0o644);
        assert!(holes.blocks() * 512 < 100_000, "{} blocks", holes.blocks());
    }
}

/// An archive of one member with these records of pax, and this data.
fn member(records: &[(&str, &str)], data: &[u8]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
    archive.append_pax_extensions(records).expect("memory");
    let mut header = Header::new_ustar();
    header.set_size(data.len() as u64);
    header.set_mode(0o400);
    let name = "GNUSparseFile.0/a";
    archive
        .append_data(&mut header, name, data)
        .expect("memory");
    archive.into_inner().expect("memory")
}

/// The records of a member whose map is in its records.
fn mapped<'a>(size: &'a str, map: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("GNU.sparse.size", size),
        ("GNU.sparse.name", "a"),
        ("GNU.sparse.map", map),
    ]
}

/// A member whose map stands before its data, filled up to a block.
fn before_data(map: &str, data: &[u8]) -> Vec<u8> {
    let records = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "a"),
        ("GNU.sparse.realsize", "10"),
    ];
    let mut stored = map.as_bytes().to_vec();
    stored.resize(map.len().next_multiple_of(BLOCK), 0);
    stored.extend(data);
    member(&records, &stored)
}

#[test]
fn maps_that_are_damaged_are_told() {
    let cases = [
        (
            member(&mapped("10", "0,2,1,2"), b"abcd"),
            "before the one before it ends",
        ),
        (
            member(&mapped("10", "8,3"), b"abc"),
            "at byte 8 leads beyond the end",
        ),
        (
            member(&mapped("10", "1,18446744073709551615"), b""),
            "leads beyond the end",
        ),
        (
            member(&mapped("10", "0,2,4,1"), b"abcd"),
            "have 3 bytes, but 4 are stored",
        ),
        (
            member(&mapped("10", "0,2,4"), b"ab"),
            "an offset has no length",
        ),
        (member(&mapped("10", "0,-2"), b"ab"), "\"-2\" is no number"),
        (member(&mapped("ten", "0,2"), b"ab"), "\"ten\" is no number"),
        (
            member(&mapped("10", "0,2")[1..], b"ab"),
            "size of its file is not stored",
        ),
        (
            member(
                &[&mapped("10", "0,2")[..], &[("GNU.sparse.numblocks", "2")]].concat(),
                b"ab",
            ),
            "has 1 regions instead of 2",
        ),
        (
            member(
                &[("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "10")],
                b"",
            ),
            "format 2.0 is not one of",
        ),
        (
            before_data("1\n0\n3\n", b"ab"),
            "have 3 bytes, but 2 are stored",
        ),
        (before_data("1\n0\nx\n", b"ab"), "\"x\" is no number"),
        (before_data("99\n0\n2\n", b"ab"), "\"\\0\" is no number"),
        (before_data("", b""), "it ends in the middle"),
        (before_data(&"0".repeat(600), b""), "is no number"),
    ];
    for (archive, expected) in cases {
        let folder = tempfile::tempdir().expect("a folder");
        let error = unpack(&archive, folder.path()).expect_err(expected);
        let message = error.to_string();
        assert!(
            message.contains(expected),
            "{message} instead of {expected}"
        );
        assert!(
            message.starts_with("the map of its sparse member "),
            "{message}"
        );
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{message}");
    }
}

#[test]
fn a_file_is_made_anew_and_its_permissions_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a");
    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    let archive = before_data("2\n2\n3\n10\n0\n", b"abc");
    assert_eq!(unpack(&archive, folder.path()).expect("whole"), [true]);
    assert!(!elsewhere.exists(), "written through a link");
    assert_eq!(
        std::fs::read(&file).expect("unpacked"),
        b"\0\0abc\0\0\0\0\0"
    );
    let mode = std::fs::symlink_metadata(&file).expect("a file").mode();
    assert_eq!(mode & 0o7777, 0o400);
}

#[test]
fn names_that_lead_out_are_not_unpacked() {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).expect("a folder");
    let mut records = mapped("10", "0,2");
    records[1].1 = "../out";
    let unpacked = unpack(&member(&records, b"ab"), &inside);
    assert_eq!(unpacked.expect("left out"), [false]);
    std::os::unix::fs::symlink(folder.path(), inside.join("link")).expect("a link");
    records[1].1 = "link/out";
    let error = unpack(&member(&records, b"ab"), &inside).expect_err("through a link");
    let message = error.to_string();
    assert!(message.contains("outside of destination"), "{message}");
    assert!(!folder.path().join("out").exists());
}

#[test]
fn a_member_that_is_cut_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = member(&mapped("3000", "0,3000"), &[b'a'; 3000]);
    let error = unpack(&archive[..4000], folder.path()).expect_err("cut");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{error}");
}
