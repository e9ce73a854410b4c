//! What the database holds: rows, sequences, constraints and indexes.

use chaos_common::record::Status;
use serde_json::json;

use super::{bad, baseline, config, find, judged, look, shop, state};

#[test]
fn what_is_as_it_was_passes_in_every_part_and_new_rows_do_not_spoil_it() {
    let Some(server) = shop() else { return };
    server.sql("postgres", &["CREATE EXTENSION amcheck"]);
    let database = config(&server, &json!({}));
    let reading = look(&database, None);
    let checks = baseline(&database, &reading);
    assert_eq!(bad(&checks), []);
    let before = reading.expect("it answers").state;
    assert_eq!(
        (
            before.sequences.len(),
            before.guards.len(),
            before.damage.len()
        ),
        (2, 9, 0),
        "{before:?}"
    );
    server.sql(
        "postgres",
        &[
            "INSERT INTO users (name) VALUES ('new')",
            "INSERT INTO orders (user_id, amount) VALUES (501, 1)",
        ],
    );
    let checks = judged(&database, &before);
    assert_eq!(bad(&checks), []);
    find(&checks, "data.sequence", "2 of 2");
    find(&checks, "data.constraint", "5 of 5");
    find(&checks, "data.index", "4 of 4");
    find(&checks, "data.amcheck", "5 indexes and 3 tables are sound");
    find(&checks, "data.role", "primary");
    assert_eq!(
        find(&checks, "data.replica", "no replica").status,
        Status::Skipped
    );
    assert_eq!(
        find(&checks, "data.checksums", "no checksums").status,
        Status::Skipped
    );
}

#[test]
fn sequences_constraints_and_indexes_that_went_bad_are_named() {
    let Some(server) = shop() else { return };
    let database = config(&server, &json!({}));
    let before = state(&database);
    server.sql(
        "postgres",
        &[
            "SELECT setval('users_id_seq', 7)",
            "ALTER TABLE orders DROP CONSTRAINT orders_amount_check",
            "ALTER TABLE orders ADD CONSTRAINT few CHECK (amount < 100) NOT VALID",
            "ALTER TABLE orders DISABLE TRIGGER ALL",
            "DROP INDEX orders_by_user",
        ],
    );
    // It fails on rows that are the same, and leaves its index behind.
    let failed = std::panic::catch_unwind(|| {
        server.sql(
            "postgres",
            &["CREATE UNIQUE INDEX CONCURRENTLY broken ON orders ((id / 2))"],
        )
    });
    assert!(failed.is_err());
    let checks = judged(&database, &before);
    assert_eq!(
        bad(&checks),
        [
            (
                Status::Fail,
                "data.sequence sequence public.users_id_seq".to_owned()
            ),
            (Status::Fail, "data.constraint constraint few".to_owned()),
            (
                Status::Fail,
                "data.constraint constraint orders_user_id_fkey".to_owned()
            ),
            (
                Status::Fail,
                "data.constraint constraint orders_amount_check".to_owned()
            ),
            (Status::Fail, "data.index index broken".to_owned()),
            (Status::Fail, "data.index index orders_by_user".to_owned()),
        ]
    );
    find(
        &checks,
        "data.sequence",
        "its next value is 8, and public.users.id is at 500",
    );
    find(&checks, "data.index", "is gone from public.orders");
    // What was so before is not blamed on what came after.
    let worse = state(&database);
    let checks = judged(&database, &worse);
    assert!(
        bad(&checks)
            .iter()
            .all(|(status, _)| *status == Status::Warn),
        "{checks:?}"
    );
    assert_eq!(bad(&checks).len(), 4, "{checks:?}");
    let checks = baseline(&database, &look(&database, None));
    assert_eq!(bad(&checks).len(), 4, "{checks:?}");
}

#[test]
fn a_sequence_that_went_back_and_one_that_is_gone_fail() {
    let Some(server) = shop() else { return };
    server.sql("postgres", &["SELECT setval('users_id_seq', 900)"]);
    let database = config(&server, &json!({}));
    let before = state(&database);
    server.sql(
        "postgres",
        &[
            "SELECT setval('users_id_seq', 600, false)",
            "ALTER TABLE orders ALTER id DROP IDENTITY",
        ],
    );
    let checks = judged(&database, &before);
    find(
        &checks,
        "data.sequence",
        "it went back: it has given 599 last, 900 in the baseline",
    );
    find(&checks, "data.sequence", "takes no values from it any more");
}

#[test]
fn fewer_rows_than_a_baseline_without_fingerprints_had_fail() {
    let Some(server) = shop() else { return };
    let database = config(&server, &json!({}));
    let mut before = state(&database);
    before.fingerprints.clear();
    server.sql("postgres", &["DELETE FROM orders WHERE id <= 2"]);
    let checks = judged(&database, &before);
    let lost = find(&checks, "data.table", "498 rows, 2 fewer than the 500");
    assert_eq!(
        (lost.status, lost.object.as_deref()),
        (Status::Fail, Some("table orders"))
    );
    assert_eq!(
        find(&checks, "data.table", "has no fingerprint").status,
        Status::Unknown
    );
}
