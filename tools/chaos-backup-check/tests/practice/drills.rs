//! Drills tell what the scratch server lacks from what the backup lacks. They need PostgreSQL's
//! server, which scripts/setup.sh installs.

use std::fs;

use serde_json::Value;

use crate::place::{INSTALLED, Place, Ran};

/// Makes a database with what a restore elsewhere stumbles over, and dumps it.
const MAKE: &str = r#"
psql -Xq -v ON_ERROR_STOP=1 -d postgres <<SQL
CREATE ROLE anon; CREATE ROLE "web user"; CREATE ROLE app; CREATE DATABASE shop; CREATE DATABASE preload; CREATE DATABASE other;
\connect shop
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent SELECT generate_series(1, 3); INSERT INTO child SELECT n, n FROM generate_series(1, 5) n;
ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON parent FOR SELECT TO anon, "web user" USING (a > 0);
CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
CREATE USER MAPPING FOR app SERVER s OPTIONS (u 'x');
\connect preload
CREATE EXTENSION pg_stat_statements; CREATE TABLE t (a int); INSERT INTO t VALUES (1);
\connect other
CREATE TABLE t (a int CHECK (a > 0)); INSERT INTO t VALUES (1), (2);
SQL
pg_dump -Fc -f shop.dump shop
pg_dump -Fd -f shop.folder shop
pg_dump -Fp -f shop.sql shop
pg_dump -n public -Fc -f public.dump shop
pg_dump -n public -Fp -f public.sql shop
pg_dump -Fc -f preload.dump preload
pg_dump -Fc -f other.dump other
pg_dump -Ft -f shop.tar shop
pg_dump --inserts -Fc -f inserts.dump other
"#;

/// The dumps and a configuration that drills them; nothing where PostgreSQL is not installed.
fn made() -> Option<Place> {
    crate::needs::postgres()?;
    let place = Place::new();
    place.make_in_postgres(INSTALLED, MAKE);
    Some(place)
}

fn configured(place: &Place, name: &str, drill: &str) {
    let text =
        format!("[[backup]]\nname = 'x'\npath = 'made/{name}'\n[drill]\nevidence = 'drills'\n");
    place.config(&(text + drill));
}

fn evidence(place: &Place) -> Vec<Value> {
    let entries = fs::read_dir(place.path("drills"))
        .into_iter()
        .flatten()
        .flatten();
    let json = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".json"));
    let read = |entry: fs::DirEntry| fs::read(entry.path()).expect("readable");
    json.map(|entry| serde_json::from_slice(&read(entry)).expect("JSON"))
        .collect()
}

#[test]
fn what_every_server_lacks_is_made_and_does_not_count_against_the_backup() {
    let Some(place) = made() else { return };
    for name in [
        "shop.tar",
        "shop.dump",
        "shop.folder",
        "shop.sql",
        "public.dump",
        "public.sql",
    ] {
        configured(&place, name, "");
        let ran = place.run(&["drill"]);
        ran.exits(0)
            .says("drill.restored", name, "pass", "restored in");
        ran.says("drill.rows", name, "pass", "2 tables have the 8 rows");
    }
}

#[test]
fn an_encrypted_dump_is_decrypted_and_restored() {
    let Some(place) = made() else { return };
    let openssl = |more: &[&str]| {
        let cipher = ["enc", "-aes-256-cbc", "-pbkdf2", "-pass", "pass:secret"];
        let mut command = std::process::Command::new("openssl");
        command.current_dir(place.path("made")).args(cipher);
        let ended = command.args(more).status().expect("openssl is there");
        assert!(ended.success());
    };
    openssl(&["-in", "shop.dump", "-out", "shop.dump.enc"]);
    let decrypted_with = |key: &str| {
        place.config(&format!(
            "[[backup]]\nname = 'x'\npath = 'made/shop.dump.enc'\nkind = 'postgres'\n\
             decrypt = ['openssl', 'enc', '-d', '-aes-256-cbc', '-pbkdf2', '-pass', 'pass:{key}']\n\
             [drill]\nevidence = 'drills'\n"
        ));
        place.run(&["drill"])
    };
    let ran = decrypted_with("secret");
    ran.exits(0)
        .says("drill.restored", "shop.dump.enc", "pass", "restored in");
    ran.says(
        "drill.rows",
        "shop.dump.enc",
        "pass",
        "2 tables have the 8 rows",
    );
    fs::remove_dir_all(place.path("drills")).expect("there");
    // It is the key's fault, and no evidence against the backup.
    let ran = decrypted_with("another");
    ran.exits(3).says(
        "drill.restored",
        "shop.dump.enc",
        "unknown",
        "was not restored",
    );
    assert_eq!(evidence(&place), [] as [Value; 0]);
}

#[test]
fn a_library_that_must_be_preloaded_is_the_server_s_lack_until_it_is_named() {
    let Some(place) = made() else { return };
    if evidence_of_contrib().is_none() {
        crate::needs::skipped("pg_stat_statements is not installed with PostgreSQL");
        return;
    }
    // What the question asks needs the library in memory.
    let question = "[[drill.query]]\nsql = 'SELECT count(*) >= 0 FROM pg_stat_statements'\n";
    configured(&place, "preload.dump", question);
    let ran = place.run(&["drill"]);
    ran.exits(3).says(
        "drill.query",
        "pg_stat_statements",
        "unknown",
        "shared_preload_libraries",
    );
    assert_eq!(evidence(&place), [] as [Value; 0], "it proves nothing");
    configured(
        &place,
        "preload.dump",
        &format!("preload = ['pg_stat_statements']\n{question}"),
    );
    place.run(&["drill"]).exits(0);
    configured(&place, "preload.dump", "preload = ['no_such_library']\n");
    place.run(&["drill"]).exits(3).says(
        "drill.restored",
        "preload.dump",
        "unknown",
        "no_such_library",
    );
}

fn evidence_of_contrib() -> Option<()> {
    let versions = fs::read_dir("/usr/share/postgresql").ok()?.flatten();
    let control = |entry: fs::DirEntry| entry.path().join("extension/pg_stat_statements.control");
    versions
        .map(control)
        .any(|path| path.exists())
        .then_some(())
}

#[test]
fn hooks_are_done_before_and_after_and_one_that_fails_is_no_evidence() {
    let Some(place) = made() else { return };
    let hooks = "[[drill.before]]\nsql = 'CREATE SCHEMA hooked; CREATE TABLE hooked.a (n int)'\n\
        [[drill.after]]\nbackup = 'x'\nsql = 'INSERT INTO hooked.a SELECT count(*) FROM t'\n\
        [[drill.after]]\nbackup = 'another'\nsql = 'nonsense'\n\
        [[drill.query]]\nsql = 'SELECT n = 2 FROM hooked.a'\n";
    configured(&place, "other.dump", hooks);
    place
        .run(&["drill"])
        .exits(0)
        .says("drill.query", "hooked.a", "pass", "true");
    fs::remove_dir_all(place.path("drills")).expect("there");
    configured(
        &place,
        "other.dump",
        "[[drill.after]]\nsql = 'SELECT no_such_function()'\n",
    );
    let ran = place.run(&["drill"]);
    ran.exits(3).says(
        "drill.restored",
        "other.dump",
        "unknown",
        "no_such_function",
    );
    assert_eq!(evidence(&place), [] as [Value; 0]);
}

#[test]
fn evidence_against_a_backup_is_kept_and_a_new_drill_replaces_it() {
    let Some(place) = made() else { return };
    let question = |sql: &str| format!("[[drill.query]]\nsql = '{sql}'\n");
    configured(
        &place,
        "other.dump",
        &question("SELECT count(*) = 3 FROM t"),
    );
    place.run(&["drill"]).exits(1);
    let verdicts = || {
        let all = evidence(&place);
        all.iter()
            .map(|one| one["verdict"].as_str().expect("one").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(verdicts(), ["fail"]);
    place.run(&[]).exits(1).says(
        "backup.restore_tested",
        "other.dump",
        "fail",
        "could not restore",
    );
    configured(
        &place,
        "other.dump",
        &question("SELECT count(*) = 2 FROM t"),
    );
    place.run(&["drill"]).exits(0);
    assert_eq!(verdicts(), ["pass"]);
    place.run(&[]).exits(0);
}

#[test]
fn all_are_drilled_in_turn_within_a_budget() {
    let Some(place) = made() else { return };
    let table = |name: &str| format!("[[backup]]\nname = '{name}'\npath = 'made/{name}.dump'\n");
    let all = ["shop", "other", "public"].map(table).concat();
    place.config(&format!("{all}[drill]\nevidence = 'drills'\n"));
    let drilled = |ran: &Ran| -> Vec<String> {
        let record = ran.record();
        let checks = record["data"]["checks"].as_array().expect("checks").clone();
        let done = checks
            .iter()
            .filter(|check| check["id"] == "drill.restored" && check["status"] == "pass");
        let name = |check: &Value| {
            let path = check["object"].as_str().expect("a path");
            let name = path.rsplit('/').next().unwrap_or_default();
            name.trim_end_matches(".dump").to_owned()
        };
        done.map(name).collect()
    };
    assert_eq!(drilled(place.run(&["drill", "other"]).exits(0)), ["other"]);
    assert_eq!(
        drilled(place.run(&["drill", "public"]).exits(0)),
        ["public"]
    );
    let ran = place.run(&["drill", "--all", "--max-time", "1h"]);
    assert_eq!(
        drilled(ran.exits(0)),
        ["shop", "other", "public"],
        "never, then the oldest"
    );
    // Of the next two it is known that they take longer than this.
    for name in ["other", "public"] {
        let note = place.path(&format!("drills/.tried-shop-{name}"));
        let text = fs::read_to_string(&note).expect("a note");
        let began = text.split_whitespace().next().expect("a time").to_owned();
        fs::write(note, format!("{began} 9000000\n")).expect("written");
    }
    let ran = place.run(&["drill", "--all", "--max-time", "1h"]);
    assert_eq!(drilled(ran.exits(0)), ["shop"]);
    ran.says(
        "drill.restored",
        "other.dump",
        "skipped",
        "left for the next run",
    );
    let ran = place.run(&["drill", "--all", "--max-time", "1h"]);
    assert_eq!(
        drilled(ran.exits(0)),
        ["other", "shop"],
        "the one that was left is first"
    );
    place.run(&["drill", "--max-time", "1h"]).exits(2);
    place.run(&["drill", "--all", "shop"]).exits(2);
}
