//! What a dump holds, in every form that pg_dump of PostgreSQL 17 writes.

use chaos_common::record::Status;

use super::{examine, rows};
use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Inspection};

fn with(dump: &[u8], expect: &[&str]) -> Inspection {
    let want = Expectations {
        expect: expect.iter().map(|name| (*name).to_owned()).collect(),
        ..Expectations::default()
    };
    examine(dump, Some(dump.len() as u64), &want, "x").expect("whole")
}

fn expected(dump: &[u8], expect: &[&str]) -> (Status, String) {
    let found = with(dump, expect);
    let check = found
        .checks
        .into_iter()
        .find(|check| check.id == "backup.expected");
    let check = check.expect("judged");
    (check.status, check.message)
}

fn forms() -> [(&'static str, Vec<u8>); 6] {
    [
        ("custom", fixture!("appended-17.dump")),
        ("tar", fixture!("tar-17.tar")),
        ("script", fixture!("parts-17.sql")),
        ("inserts", fixture!("inserts-17.dump")),
        ("script of inserts", fixture!("inserts-17.sql")),
        ("rows per insert", fixture!("rows-per-insert-17.sql")),
    ]
}

#[test]
fn rows_are_counted_however_they_are_written() {
    for (form, dump) in forms() {
        let found = with(&dump, &[]);
        for (table, number) in [
            ("public.users", 30),
            ("public.orders_2026", 1),
            ("public.orders_rest", 1),
            ("public.cars", 1),
            ("public.vehicles", 0),
        ] {
            assert_eq!(rows(&found, table), Some(number), "{form}, {table}");
        }
    }
}

#[test]
fn rows_of_parts_count_where_the_whole_is_expected() {
    for (form, dump) in forms() {
        let (status, why) = expected(&dump, &["orders", "public.vehicles", "users"]);
        assert_eq!(status, Status::Pass, "{form}: {why}");
        let (status, why) = expected(&dump, &["customers"]);
        assert_eq!(status, Status::Fail, "{form}: {why}");
    }
}

#[test]
fn scripts_with_windows_line_ends_and_a_byte_order_mark_are_read() {
    for (form, dump) in forms()
        .into_iter()
        .filter(|(_, dump)| dump.starts_with(b"--"))
    {
        let text = String::from_utf8(dump).expect("text");
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let found = with(windows.as_bytes(), &["users"]);
        assert_eq!(rows(&found, "public.users"), Some(30), "{form}");
        for length in (0..windows.len()).filter(|at| at % 53 == 0 || windows.len() - at < 40) {
            let cut = &windows.as_bytes()[..length];
            assert!(super::check(cut).is_err(), "{form}, cut to {length}");
        }
    }
}

#[test]
fn a_script_in_utf_16_is_named() {
    let text = String::from_utf8(fixture!("parts-17.sql")).expect("text");
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let judged = super::check(&[b"\xff\xfe", &wide[..]].concat());
    let Err(FormatError::Damaged(why)) = &judged else {
        panic!("{judged:?}")
    };
    assert!(why.contains("UTF-16"), "{why}");
}

#[test]
fn a_dump_says_when_it_was_begun() {
    for dump in [
        fixture!("appended-18.dump"),
        fixture!("tar-15.tar"),
        fixture!("gzip.dump"),
    ] {
        let begun = with(&dump, &[]).created.expect("a moment");
        assert_eq!(begun.year(), 2026);
    }
}

#[test]
fn a_setting_that_pg_restore_refuses_is_damage() {
    for (before, after) in [("'UTF8'", "'UTF9'"), ("strings = 'on'", "strings = 'oN'")] {
        let mut dump = fixture!("none.dump");
        let at = dump
            .windows(before.len())
            .position(|part| part == before.as_bytes());
        let at = at.expect("a setting");
        dump[at..at + after.len()].copy_from_slice(after.as_bytes());
        let why = super::damage(&dump);
        assert!(why.contains("cannot be"), "{why}");
    }
}
