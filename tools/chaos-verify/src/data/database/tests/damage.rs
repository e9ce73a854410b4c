//! Damage to what is stored, made on the disk of a server that is down.

use std::path::{Path, PathBuf};

use chaos_common::record::Status;
use serde_json::json;

use super::scratch::Server;
use super::{bad, baseline, config, find, judged, look, shop, state};

/// The file of a table or an index.
fn file(server: &Server, relation: &str) -> PathBuf {
    server.sql("postgres", &["CHECKPOINT"]);
    let path = server.sql(
        "postgres",
        &[&format!("SELECT pg_relation_filepath('{relation}')")],
    );
    server.folder().join("data").join(path)
}

/// Changes what a server that is down has on its disk.
fn corrupt(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("the file");
    change(&mut bytes);
    std::fs::write(path, &bytes).expect("it can be written");
}

#[test]
fn damage_to_an_index_is_found_where_amcheck_is_and_named_as_not_looked_for_where_not() {
    let Some(mut server) = shop() else { return };
    let database = config(&server, &json!({}));
    let before = state(&database);
    let path = file(&server, "users_name_key");
    server.stop();
    // A name in the index that is no longer the one of the table: the order of the index is broken.
    corrupt(&path, |bytes| {
        let at = bytes
            .windows(8)
            .rposition(|part| part == b"user 250")
            .expect("the name is in it");
        bytes[at] = b'z';
    });
    server.run(&[]);
    let checks = judged(&database, &before);
    let skipped = find(&checks, "data.amcheck", "not installed");
    assert!(
        skipped.status == Status::Skipped
            && skipped
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("CREATE EXTENSION"))
    );
    server.sql("postgres", &["CREATE EXTENSION amcheck"]);
    let checks = judged(&database, &before);
    assert_eq!(
        bad(&checks),
        [(Status::Fail, "data.amcheck database postgres".to_owned())],
        "{checks:?}"
    );
    find(&checks, "data.amcheck", "public.users_name_key is damaged");
    let reading = look(&database, None);
    assert_eq!(
        find(
            &baseline(&database, &reading),
            "baseline.amcheck",
            "users_name_key"
        )
        .status,
        Status::Fail
    );
    let worse = reading.expect("it answers").state;
    assert_eq!(worse.damage.len(), 1, "{worse:?}");
    find(
        &judged(&database, &worse),
        "data.amcheck",
        "was so in the baseline",
    );
}

#[test]
fn damage_to_a_table_is_found_by_amcheck_and_by_reading() {
    let Some(mut server) = shop() else { return };
    server.sql("postgres", &["CREATE EXTENSION amcheck"]);
    let database = config(&server, &json!({}));
    let before = state(&database);
    let path = file(&server, "users");
    server.stop();
    // The header of the second page.
    corrupt(&path, |bytes| bytes[8192 + 8..8192 + 24].fill(0xff));
    server.run(&[]);
    let checks = judged(&database, &before);
    let table = find(&checks, "data.table", "stored data is damaged");
    assert_eq!(
        (table.status, table.object.as_deref()),
        (Status::Fail, Some("table users"))
    );
    assert!(
        table
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("keep a copy")),
        "{table:?}"
    );
    let now = state(&database);
    assert!(
        now.damage.iter().any(|damage| damage.object == "users"),
        "{now:?}"
    );
}

#[test]
fn a_page_that_fails_its_checksum_is_counted() {
    let Some(mut server) = shop() else { return };
    server.stop();
    let on = server
        .shell("\"$0/pg_checksums\" --enable -D data")
        .output()
        .expect("sh is there");
    assert!(
        on.status.success(),
        "{}",
        String::from_utf8_lossy(&on.stderr)
    );
    server.run(&[]);
    let database = config(&server, &json!({}));
    let before = state(&database);
    assert_eq!(before.checksum_failures, Some(0));
    let path = file(&server, "orders_by_user");
    server.stop();
    corrupt(&path, |bytes| bytes[8192 + 4000] ^= 1);
    server.run(&[]);
    // The index is none that reading the table needs: somebody else meets it.
    let met = std::panic::catch_unwind(|| {
        server.sql("postgres", &["SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(user_id) FROM orders WHERE user_id > 0"])
    });
    assert!(met.is_err());
    let checks = judged(&database, &before);
    assert_eq!(
        bad(&checks),
        [(Status::Fail, "data.checksums database postgres".to_owned())],
        "{checks:?}"
    );
    let worse = state(&database);
    assert!(worse.checksum_failures > Some(0), "{worse:?}");
    assert_eq!(
        find(
            &judged(&database, &worse),
            "data.checksums",
            "was so in the baseline"
        )
        .status,
        Status::Warn
    );
}
