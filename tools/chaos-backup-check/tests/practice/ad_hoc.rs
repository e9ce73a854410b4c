//! Files on the command line, without any configuration.

use crate::place::{OBJECT, Place, fixture};

#[test]
fn a_file_is_checked_for_what_it_is() {
    let place = Place::new();
    place.file("shop.backup", &fixture("pgdump/gzip.dump"), 60);
    place.file("app", &fixture("tar/gnu.tar.gz"), 60 * 24 * 400);
    place.file("objects", OBJECT.as_bytes(), 60);
    place.file("dump.txt", &fixture("pgdump/plain.sql"), 60);
    let ran = place.run(&["shop.backup", "app", "objects", "dump.txt", "app"]);
    let record = ran.exits(0).record();
    let items = record["data"]["items"].as_array().expect("items").clone();
    let formats: Vec<_> = items
        .iter()
        .map(|item| &item["contents"]["format"])
        .collect();
    assert_eq!(
        formats,
        ["postgres", "tar", "kubernetes", "postgres"],
        "each once"
    );
    assert_eq!(record["data"]["namespace"], "", "none is needed");
    assert!(items[1].get("max_age_s").is_none(), "{items:?}");
    ran.says("backup.fresh", "app", "skipped", "no --max-age judges that");
    ran.says(
        "backup.live",
        "objects",
        "skipped",
        "not to be held against the cluster",
    );
    let ran = place.run(&["--max-age", "1d", "app", "objects"]);
    ran.exits(1).says(
        "backup.fresh",
        "app",
        "fail",
        "1d is the limit".replace("1d", "24h").as_str(),
    );
    ran.says("backup.fresh", "objects", "pass", "");
}

#[test]
fn what_is_wanted_of_it_may_be_said() {
    let place = Place::new();
    place.file("shop.backup", &fixture("pgdump/gzip.dump"), 60);
    let run = |args: &[&str]| place.run(&[args, &["shop.backup"]].concat());
    run(&[
        "--kind",
        "postgres",
        "--expect",
        "users,orders",
        "--database",
        "ecommerce",
    ])
    .exits(0)
    .says("backup.expected", "shop.backup", "pass", "2 things");
    run(&["--expect", "payments"]).exits(1).says(
        "backup.expected",
        "shop.backup",
        "fail",
        "lacks payments",
    );
    run(&["--database", "billing"]).exits(1);
    run(&["--kind", "tar"]).exits(1);
    run(&["--kind", "picture"]).exits(2);
    place.run(&["--max-age", "1h"]).exits(2);
    place.run(&["absent.dump"]).exits(1).says(
        "backup.present",
        "absent.dump",
        "fail",
        "does not exist",
    );
    place.run(&["shop.backup", "seal"]).exits(1);
    assert_eq!(
        place.run(&["--nagios", "shop.backup"]).0.status.code(),
        Some(0)
    );
    assert!(
        place
            .run(&["-q", "shop.backup"])
            .exits(0)
            .0
            .stdout
            .is_empty()
    );
}

#[test]
fn the_configuration_that_lies_there_does_not_count() {
    let place = Place::new();
    place.config(
        "[[backup]]\nname = 'x'\npath = 'gone'\n[database]\ndeployment = 'db'\nname = 'billing'\n",
    );
    place.file("shop.backup", &fixture("pgdump/gzip.dump"), 60);
    let ran = place.run(&["shop.backup"]);
    assert_eq!(
        ran.exits(0).record()["data"]["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn a_folder_is_the_newest_backup_in_it() {
    let place = Place::new();
    place.file("b/shop-1.dump", b"damaged", 300);
    place.file("b/shop-2.dump", &fixture("pgdump/gzip.dump"), 200);
    place.file("b/app.tar.gz", &fixture("tar/gnu.tar.gz"), 100);
    place.file("b/shop-2.dump.sha256", b"x", 1);
    let resolved = |args: &[&str]| {
        let record = place.run(&[args, &["b"]].concat()).exits(0).record();
        let item = &record["data"]["items"][0]["resolved"];
        item.as_str().expect("a path").to_owned()
    };
    assert_eq!(resolved(&[]), "b/app.tar.gz");
    assert_eq!(resolved(&["--include", "*.dump"]), "b/shop-2.dump");
    assert_eq!(resolved(&["--exclude", "*.gz"]), "b/shop-2.dump");
}

#[test]
fn a_table_for_people() {
    let place = Place::new();
    place.file("app.tar.gz", &fixture("tar/gnu.tar.gz"), 1);
    let ran = place.run(&["-o", "text", "app.tar.gz"]);
    let text = String::from_utf8_lossy(&ran.exits(0).0.stdout).into_owned();
    assert!(
        text.contains("backup.complete") && text.contains("16 members"),
        "{text}"
    );
}
