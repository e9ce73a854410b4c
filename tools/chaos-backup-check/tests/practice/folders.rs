//! Folders of backups, and what stands beside them.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::place::{OBJECT, Place, fixture};

/// Fixtures are old by their own headers.
fn configured(kind: &str, more: &str) -> String {
    format!("[[backup]]\nname = 'x'\nkind = '{kind}'\npath = 'b'\nmax_age = '1000d'\n{more}\n")
}

#[test]
fn side_files_are_never_taken_for_the_backup() {
    let place = Place::new();
    place.config(&configured("postgres", ""));
    let dump = fixture("pgdump/gzip.dump");
    place.file("b/shop-1.dump", &dump, 500);
    place.file("b/shop-2.dump", &dump, 400);
    for side in [
        "shop-2.dump.sha256",
        "shop-3.dump.manifest.json",
        "backup.log",
        "globals.sql",
        "MD5SUMS",
        ".shop-3.dump.Xy12",
        "shop-3.dump.part",
        "shop-2.dump.json",
        "README.md",
    ] {
        place.file(&format!("b/{side}"), b"x", 1);
    }
    fs::create_dir(place.path("b/lost+found")).expect("made");
    symlink("nowhere", place.path("b/dangling.dump")).expect("made");
    symlink("shop-2.dump", place.path("b/latest.dump")).expect("made");
    assert!(
        Command::new("mkfifo")
            .arg(place.path("b/fifo"))
            .status()
            .expect("there")
            .success()
    );
    let ran = place.run(&[]);
    ran.exits(0)
        .says("backup.present", "b", "pass", "the newest is");
    let resolved = ran.record()["data"]["items"][0]["resolved"].clone();
    assert!(
        resolved
            .as_str()
            .expect("a path")
            .ends_with("b/shop-2.dump"),
        "{resolved}"
    );
    ran.says("backup.size", "b", "pass", "the one before");
}

#[test]
fn patterns_choose_and_one_that_matches_nothing_fails() {
    let place = Place::new();
    place.file("b/app.tar.gz", &fixture("tar/gnu.tar.gz"), 10);
    place.file("b/shop.dump", &fixture("pgdump/gzip.dump"), 20);
    for more in [
        "include = '*.dump'",
        "include = ['a*', '*.dump']\nexclude = '*.tar.gz'",
    ] {
        place.config(&configured("postgres", more));
        place.run(&[]).exits(0);
    }
    place.config(&configured("postgres", "include = 'shop-*.dump'"));
    let ran = place.run(&[]);
    ran.exits(1)
        .says("backup.present", "b", "fail", "no backup like shop-*.dump");
    place.config("[[backup]]\nname = 'x'\npath = 'b/shop.dump'\ninclude = '*.dump'\n");
    place.run(&[]).exits(3).says(
        "backup.present",
        "shop.dump",
        "unknown",
        "nothing to choose",
    );
    place.config("[[backup]]\nname = 'x'\npath = 's3://b/k'\ninclude = '*.dump'\n");
    place.run(&[]).exits(2);
}

#[test]
fn the_newest_may_be_a_folder_that_is_a_dump() {
    let place = Place::new();
    place.file("b/shop.dump", &fixture("pgdump/gzip.dump"), 100);
    copy(&place, "b/today");
    fs::create_dir(place.path("b/tomorrow")).expect("made");
    place.config(&configured("postgres", ""));
    let ran = place.run(&[]);
    ran.exits(0).says("backup.present", "b", "pass", "b/today");
    // One that is named is the dump itself.
    place.config(&configured("postgres", "").replace("'b'", "'b/today'"));
    place
        .run(&[])
        .exits(0)
        .says("backup.present", "b/today", "pass", "a folder of");
    // Without its table of contents it is damaged, and not a folder of others.
    fs::remove_file(place.path("b/today/toc.dat")).expect("there");
    place
        .run(&[])
        .exits(1)
        .says("backup.complete", "b/today", "fail", "toc.dat");
}

fn copy(place: &Place, to: &str) {
    let folder = "tests/fixtures/pgdump/blobs-gzip.folder";
    for entry in fs::read_dir(folder).expect("there") {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("UTF-8");
        place.file(
            &format!("{to}/{name}"),
            &fs::read(entry.path()).expect("readable"),
            1,
        );
    }
}

#[test]
fn what_is_newest_and_bad_is_not_passed_over() {
    let place = Place::new();
    place.config(&configured("postgres", ""));
    let dump = fixture("pgdump/gzip.dump");
    place.file("b/shop-1.dump", &dump, 100);
    place.file("b/shop-2.dump", &dump[..dump.len() / 2], 50);
    place
        .run(&[])
        .exits(1)
        .says("backup.complete", "b", "fail", "cut");
    place.file("b/shop-3.dump", b"", 40);
    place
        .run(&[])
        .exits(1)
        .says("backup.complete", "b", "fail", "empty");
}

#[test]
fn two_backups_of_one_name_are_a_usage_error() {
    let place = Place::new();
    place.file("b/a.yaml", OBJECT.as_bytes(), 1);
    let one = configured("kubernetes", "live = false");
    place.config(&format!("{one}{one}"));
    for command in [&[][..], &["seal"], &["drill"]] {
        let ran = place.run(command);
        assert!(
            ran.exits(2).everything().contains("two backups"),
            "{}",
            ran.everything()
        );
    }
}

#[test]
fn of_ten_thousand_files_the_newest_is_found_in_little_memory() {
    let of = |number: u64| {
        let place = Place::new();
        place.config(&configured("kubernetes", "live = false"));
        for n in 0..number {
            place.file(
                &format!("b/maps-{n:05}.yaml"),
                OBJECT.as_bytes(),
                20_000 - n,
            );
        }
        let (said, kilobytes) = place.measured();
        let newest = format!("maps-{:05}.yaml", number - 1);
        assert!(said.contains(&newest), "{said}");
        kilobytes
    };
    let (few, many) = (of(10), of(10_000));
    assert!(many < few + (8 << 10), "{few} kB and {many} kB");
}
