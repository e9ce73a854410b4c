//! `--trust-unchanged`.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::place::{Place, fixture};

const OPTION: [&str; 2] = ["--trust-unchanged", "7d"];

fn place() -> Place {
    let place = Place::new();
    place.config(
        "[[backup]]\nname = 'x'\nkind = 'postgres'\npath = 'shop.dump'\nmax_age = '1000d'\nexpect = ['users']\n",
    );
    place.file("shop.dump", &fixture("pgdump/gzip.dump"), 60);
    place
}

#[test]
fn what_has_not_changed_is_not_read_again_and_that_is_said() {
    let place = place();
    let first = place.run(&OPTION);
    first
        .exits(0)
        .says("backup.complete", "shop.dump", "pass", "395 rows");
    assert!(
        !first
            .check("backup.complete", "shop.dump")
            .1
            .contains("not read again")
    );
    let again = place.run(&OPTION);
    again
        .exits(0)
        .says("backup.complete", "shop.dump", "pass", "not read again");
    again.says("backup.expected", "shop.dump", "pass", "");
    let items = |ran: &crate::place::Ran| ran.record()["data"]["items"][0].clone();
    assert_eq!(items(&first)["blake3"], items(&again)["blake3"]);
    assert_eq!(items(&first)["contents"], items(&again)["contents"]);
    let (_, message) = place
        .run(&[])
        .exits(0)
        .check("backup.complete", "shop.dump");
    assert!(
        !message.contains("not read again"),
        "off by default: {message}"
    );
}

#[test]
fn a_change_that_sets_its_times_back_is_seen() {
    let place = place();
    place.run(&OPTION).exits(0);
    let path = place.path("shop.dump");
    let then = fs::metadata(&path)
        .and_then(|metadata| metadata.modified())
        .expect("there");
    let mut bytes = fs::read(&path).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("written");
    File::options()
        .write(true)
        .open(&path)
        .expect("there")
        .set_modified(then)
        .expect("set");
    let (_, message) = place.run(&OPTION).check("backup.complete", "shop.dump");
    assert!(!message.contains("not read again"), "{message}");
}

#[test]
fn without_the_option_nothing_is_kept() {
    let place = place();
    place.run(&[]).exits(0);
    assert!(!place.path(".local/state/chaos/reads").exists());
    // What was written this minute is read again: it could change without a trace.
    let file = File::options()
        .write(true)
        .open(place.path("shop.dump"))
        .expect("there");
    file.set_modified(SystemTime::now() - Duration::from_secs(5))
        .expect("set");
    for _ in 0..2 {
        let ran = place.run(&OPTION);
        let (_, message) = ran.exits(0).check("backup.complete", "shop.dump");
        assert!(!message.contains("not read again"), "{message}");
    }
}
