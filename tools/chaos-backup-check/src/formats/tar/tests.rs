//! Archives that GNU tar made (see `tests/fixtures/make-fixtures.sh`) or the crate `tar` makes
//! here, whole and damaged.

use std::io::{Read, Write as _};

use chaos_common::config::BackupKind;
use chaos_common::record::{Contents, Status};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Verified};
use crate::formats::verify::verify;

fn check_for(archive: &[u8], expect: &[&str]) -> Result<Verified, FormatError> {
    let want = Expectations {
        expect: expect.iter().map(|name| (*name).to_owned()).collect(),
        ..Expectations::default()
    };
    verify(
        archive,
        Some(BackupKind::Tar),
        Some(archive.len() as u64),
        &want,
        "x",
    )
}

fn check(archive: &[u8]) -> Result<(Contents, String), FormatError> {
    check_for(archive, &[]).map(|verified| (verified.found.contents, verified.found.message))
}

fn damage(archive: &[u8]) -> String {
    match check(archive) {
        Err(FormatError::Damaged(why)) => why,
        other => panic!("not damaged, but {other:?}"),
    }
}

fn members(archive: &[u8]) -> u64 {
    match check(archive) {
        Ok((Contents::Tar { members, .. }, _)) => members,
        other => panic!("not whole, but {other:?}"),
    }
}

/// Seven members, of which the largest has three blocks.
fn plain() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..7_u8 {
        let data = vec![b'a' + number; usize::from(number) * 200];
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("app/file-{number}"), &data[..])
            .expect("memory");
    }
    builder.into_inner().expect("memory")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An archive of one header, with any name and size.
fn one(name: &[u8], kind: u8, size: &[u8; 12], rest: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[124..136].copy_from_slice(size);
    header.as_mut_bytes()[156] = kind;
    header.set_cksum();
    [header.as_bytes(), rest].concat()
}

const EMPTY: &[u8; 12] = b"00000000000\0";

#[test]
fn what_gnu_tar_writes_passes() {
    let fixtures: [(&[u8], u64); 6] = [
        (include_bytes!("../../../tests/fixtures/tar/gnu.tar.gz"), 16),
        (
            include_bytes!("../../../tests/fixtures/tar/oldgnu.tar.gz"),
            16,
        ),
        (include_bytes!("../../../tests/fixtures/tar/pax.tar.gz"), 16),
        (
            include_bytes!("../../../tests/fixtures/tar/ustar.tar.gz"),
            3,
        ),
        (include_bytes!("../../../tests/fixtures/tar/v7.tar.gz"), 2),
        (
            include_bytes!("../../../tests/fixtures/tar/label.tar.gz"),
            2,
        ),
    ];
    for (number, (archive, expected)) in fixtures.into_iter().enumerate() {
        assert_eq!(members(archive), expected, "fixture {number}");
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(archive)
            .read_to_end(&mut unpacked)
            .expect("good gzip");
        assert_eq!(members(&unpacked), expected, "fixture {number}, unpacked");
        for length in (0..archive.len()).step_by(101) {
            assert!(
                check(&archive[..length]).is_err(),
                "fixture {number} cut to {length}"
            );
        }
    }
}

#[test]
fn plain_and_compressed_archives_of_one_or_more_gzip_members_pass() {
    let plain = plain();
    assert_eq!(members(&plain), 7);
    assert_eq!(members(&gzip(&plain)), 7);
    let parts: Vec<u8> = plain.chunks(1000).flat_map(gzip).collect();
    assert_eq!(members(&parts), 7);
    let padded = [plain, vec![0; 10_240]].concat();
    assert_eq!(members(&padded), 7);
}

#[test]
fn an_archive_that_was_cut_before_it_was_compressed_is_found() {
    let plain = plain();
    for blocks in 1..plain.len() / 512 {
        let cut = &plain[..blocks * 512];
        assert!(
            damage(cut).contains("is cut"),
            "{blocks} blocks: {}",
            damage(cut)
        );
        assert!(
            damage(&gzip(cut)).contains("is cut"),
            "{blocks} blocks, compressed"
        );
    }
    assert!(
        damage(&plain[..512]).contains("app/file-0"),
        "{}",
        damage(&plain[..512])
    );
    for length in (0..plain.len()).step_by(7) {
        assert!(check(&plain[..length]).is_err(), "cut to {length}");
    }
}

#[test]
fn archives_of_nothing_fail() {
    assert!(damage(&gzip(b"")).contains("empty"));
    assert!(damage(&[0; 10_240]).contains("without any member"));
    assert!(damage(&gzip(&[0; 10_240])).contains("without any member"));
}

/// A header alone, of this name and kind.
fn header(name: &str, kind: u8) -> Vec<u8> {
    one(name.as_bytes(), kind, EMPTY, b"")
}

fn restorable(archive: &[u8]) -> (Status, String) {
    let verified = check_for(archive, &[]).expect("whole");
    let check = verified.found.checks.into_iter().next().expect("judged");
    (check.status, check.message)
}

#[test]
fn an_archive_of_folders_alone_fails() {
    let end = vec![0; 1024];
    let folders = [header("data/", b'5'), header("data/lost+found/", b'5')];
    let (status, why) = restorable(&[folders.concat(), end.clone()].concat());
    assert_eq!(status, Status::Fail, "{why}");
    assert!(why.contains("2 members, and no file"), "{why}");
    let old = [header("data/", b'\0'), end.clone()].concat();
    assert_eq!(restorable(&old).0, Status::Fail, "a folder of the old form");
    let link = [
        header("data/", b'5'),
        header("data/link", b'2'),
        end.clone(),
    ]
    .concat();
    assert_eq!(
        restorable(&link).0,
        Status::Fail,
        "a symbolic link is no file"
    );
    let empty = [header("data/", b'5'), header("data/file", b'0'), end].concat();
    assert_eq!(restorable(&empty).0, Status::Warn, "a file without a byte");
    assert_eq!(restorable(&plain()).0, Status::Pass);
}

#[test]
fn absolute_names_are_told_and_are_no_damage() {
    let mut archive = one(b"/srv/data/x", b'0', b"00000000001\0", b"x");
    archive.resize(1024 + 1024, 0);
    let verified = check_for(&archive, &["/srv/data"]).expect("whole");
    let told: Vec<_> = verified
        .found
        .checks
        .iter()
        .map(|check| (check.id.as_str(), check.status))
        .collect();
    assert_eq!(
        told,
        [
            ("backup.restorable", Status::Pass),
            ("backup.expected", Status::Pass),
            ("backup.names", Status::Warn)
        ]
    );
}

#[test]
fn a_hard_link_has_no_data_whatever_its_size_says() {
    let archive = [
        one(b"a", b'0', b"00000000005\0", b"hello"),
        vec![0; 507],
        one(b"b", b'1', b"00000000005\0", b""),
        header("c", b'0'),
        vec![0; 1024],
    ];
    assert_eq!(members(&archive.concat()), 3, "as tar -t lists them");
}

#[test]
fn a_sparse_file_has_the_size_that_it_has_with_its_holes() {
    for (archive, unpacked) in [
        (
            &include_bytes!("../../../tests/fixtures/tar/sparse-0.0.tar.gz")[..],
            1_557_059,
        ),
        (
            include_bytes!("../../../tests/fixtures/tar/sparse-0.1.tar.gz"),
            1_557_059,
        ),
        (
            include_bytes!("../../../tests/fixtures/tar/sparse-1.0.tar.gz"),
            1_557_059,
        ),
        (
            include_bytes!("../../../tests/fixtures/tar/oldgnu.tar.gz"),
            2_099_050,
        ),
    ] {
        let Ok((Contents::Tar { unpacked_bytes, .. }, _)) = check(archive) else {
            panic!("not whole");
        };
        assert_eq!(unpacked_bytes, unpacked);
    }
}

#[test]
fn damage_to_the_compressed_stream_is_found() {
    let archive = gzip(&plain());
    let length = archive.len();
    for at in (length - 8..length).chain([10]) {
        let mut wrong = archive.clone();
        wrong[at] ^= 1;
        assert!(
            check(&wrong).is_err(),
            "byte {at} of the checksum or length is changed"
        );
    }
    for cut in 1..=20 {
        assert!(
            damage(&archive[..length - cut]).contains("is cut"),
            "{cut} bytes are missing"
        );
    }
    // The flags, time and system in the header of gzip have no part in what is unpacked.
    for (at, bit) in (10..length).map(|at| (at, at % 8)) {
        let mut flipped = archive.clone();
        flipped[at] ^= 1 << bit;
        let mut unpacked = Vec::new();
        let same = MultiGzDecoder::new(&flipped[..])
            .read_to_end(&mut unpacked)
            .is_ok()
            && unpacked == plain();
        assert_eq!(check(&flipped).is_ok(), same, "bit {bit} of byte {at}");
    }
    let padded = [&archive[..], &[0; 4096]].concat();
    assert_eq!(
        members(&padded),
        7,
        "as bsdtar pads what it writes to a pipe"
    );
    for tail in [&b"x"[..], b"garbage", b"\0\0x", &[0x1f], &[0x1f, 0x8b]] {
        assert!(
            check(&[&archive[..], tail].concat()).is_err(),
            "{} bytes follow",
            tail.len()
        );
    }
    let twice = [&archive[..], &archive].concat();
    assert!(
        damage(&twice).contains("behind its end marks"),
        "{}",
        damage(&twice)
    );
}

#[test]
fn damage_to_a_plain_archive_is_found_where_tar_can_show_it() {
    let plain = plain();
    for at in 0..512 {
        let mut flipped = plain.clone();
        flipped[at] ^= 4;
        assert!(check(&flipped).is_err(), "byte {at} of a header");
    }
    let twice = [&plain[..], &plain].concat();
    assert!(damage(&twice).contains("behind its end marks"));
    let one_mark = &plain[..plain.len() - 512];
    assert!(
        damage(one_mark).contains("after one of two end marks"),
        "{}",
        damage(one_mark)
    );
    let mut lone = plain.clone();
    lone[1536..2048].fill(0);
    assert!(
        damage(&lone).contains("lone block of zeros"),
        "{}",
        damage(&lone)
    );
}

#[test]
fn members_that_lead_out_of_the_folder_fail() {
    let end = [0; 1024];
    assert_eq!(members(&one(b"a/b", b'0', EMPTY, &end)), 1);
    for name in [&b"/../x"[..], b"../x", b"a/../../x"] {
        assert!(damage(&one(name, b'0', EMPTY, &end)).contains("not safe to unpack"));
    }
}

#[test]
fn sizes_that_cannot_be_true_end_as_cut_in_little_memory() {
    let huge = b"\x80\0\0\0\x10\0\0\0\0\0\0\0";
    for kind in [b'0', b'L', b'x', b'g', b'S'] {
        let archive = one(b"a", kind, huge, &[7; 4096]);
        assert!(damage(&archive).contains("is cut"), "{}", damage(&archive));
    }
    let long = one(b"a", b'L', b"00040000000\0", &vec![b'n'; (8 << 20) + 1024]);
    assert!(
        damage(&long).contains("name or attributes of 8388608 bytes"),
        "{}",
        damage(&long)
    );
}

#[test]
fn what_is_no_archive_is_named() {
    assert!(damage(b"PGDMP\x01\x0e").contains("PostgreSQL"));
    assert!(damage(&[b'x'; 2000]).contains("not a tar archive"));
    assert!(damage(b"short").contains("cut"));
    let other = check(b"LZIP and so on");
    assert!(matches!(other, Err(FormatError::CannotTell(why)) if why.contains("lzip")));
}

#[test]
fn archives_may_be_compressed_with_zstd_and_lz4() {
    let plain = plain();
    let zstd = zstd::encode_all(&plain[..], 3).expect("memory");
    assert_eq!(members(&zstd), 7);
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&plain).expect("memory");
    assert_eq!(members(&lz4.finish().expect("memory")), 7);
    let why = damage(&zstd[..zstd.len() - 1]);
    assert!(why.contains("is cut"), "{why}");
    let cut = zstd::encode_all(&plain[..plain.len() - 1024 - 4 * 512], 3).expect("memory");
    assert!(
        damage(&cut).contains("without the end marks"),
        "{}",
        damage(&cut)
    );
}

#[test]
fn what_is_expected_is_there_and_not_empty() {
    let judged = |expect: &[&str]| {
        let verified = check_for(&plain(), expect).expect("whole");
        let check = verified
            .found
            .checks
            .into_iter()
            .find(|check| check.id == "backup.expected")
            .expect("judged");
        (check.status, check.message)
    };
    assert_eq!(judged(&["app/file-1", "./app/file-6"]).0, Status::Pass);
    assert_eq!(
        judged(&["app"]).0,
        Status::Pass,
        "a folder with something in it"
    );
    let (status, why) = judged(&["app/file-1", "app/file-9"]);
    assert!(
        status == Status::Fail && why.contains("lacks app/file-9"),
        "{why}"
    );
    let (status, why) = judged(&["app/file-0"]);
    assert!(
        status == Status::Fail && why.contains("no byte in app/file-0"),
        "{why}"
    );
}

#[test]
fn links_that_lead_out_are_told_and_nothing_may_go_through_them() {
    let link = |path: &str, target: &str, then: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, path, target)
            .expect("memory");
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        builder
            .append_data(&mut header, then, &b"hello"[..])
            .expect("memory");
        builder.into_inner().expect("memory")
    };
    let harmless = check_for(&link("app/link", "/etc/localtime", "app/file"), &[]).expect("whole");
    assert_eq!(
        harmless
            .found
            .checks
            .iter()
            .map(|check| (check.id.as_str(), check.status))
            .collect::<Vec<_>>(),
        [
            ("backup.restorable", Status::Pass),
            ("backup.links", Status::Warn)
        ]
    );
    let inside = check_for(&link("app/link", "file", "app/file"), &[]).expect("whole");
    assert_eq!(inside.found.checks.len(), 1);
    let why = damage(&link("app/link", "../../etc", "app/link/passwd"));
    assert!(why.contains("goes through the link"), "{why}");
}

#[test]
fn a_size_that_no_file_has_and_zeros_without_end_are_refused() {
    let huge = one(
        b"a",
        b'0',
        b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        &[0; 1024],
    );
    assert!(damage(&huge).contains("size"), "{}", damage(&huge));
    let large = one(b"a", b'0', b"\x80\0\0\0\x10\0\0\0\0\0\0\0", &[0; 1024]);
    assert!(
        damage(&large).contains("1024 of the 1152921504606846976 bytes"),
        "{}",
        damage(&large)
    );
    let bomb = [plain(), vec![0; 20 << 20]].concat();
    assert!(
        damage(&bomb).contains("bytes of zeros"),
        "{}",
        damage(&bomb)
    );
    assert!(damage(&vec![0; 10_240]).contains("without any member"));
}
