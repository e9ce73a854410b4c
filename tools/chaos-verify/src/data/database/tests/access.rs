//! What the user has no rights to, and what takes too long.

use std::time::Duration;

use chaos_common::record::Status;
use serde_json::json;

use super::scratch::Server;
use super::{bad, baseline, config, find, judged, look, shop, state};

#[test]
fn a_user_with_few_rights_is_told_what_it_could_not_see() {
    let Some(server) = shop() else { return };
    server.sql(
        "postgres",
        &[
            "CREATE EXTENSION amcheck",
            "CREATE ROLE reader LOGIN",
            "GRANT SELECT ON users TO reader",
        ],
    );
    let database = config(&server, &json!({ "user": "reader" }));
    let before = state(&config(&server, &json!({})));
    let checks = judged(&database, &before);
    assert_eq!(
        bad(&checks),
        [
            (Status::Unknown, "data.table table orders".to_owned()),
            (
                Status::Unknown,
                "data.sequence sequence public.orders_id_seq".to_owned()
            ),
            (
                Status::Unknown,
                "data.sequence sequence public.users_id_seq".to_owned()
            ),
        ],
        "{checks:?}"
    );
    let amcheck = find(&checks, "data.amcheck", "may not call");
    assert!(
        amcheck.status == Status::Skipped
            && amcheck
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("GRANT EXECUTE"))
    );
}

#[test]
fn a_time_out_in_the_middle_is_named_and_nothing_hangs() {
    let Some(server) = shop() else { return };
    server.sql(
        "postgres",
        &[
            "CREATE EXTENSION amcheck",
            "CREATE VIEW slow AS SELECT id, pg_sleep(0.1)::text AS v FROM users",
            "CREATE TABLE held (id serial PRIMARY KEY)",
        ],
    );
    let database = config(
        &server,
        &json!({ "statement_timeout": "500ms", "tables": ["slow", "users", "held"] }),
    );
    let hold = scratch_session(&server, "BEGIN; LOCK TABLE held; SELECT pg_sleep(60)");
    std::thread::sleep(Duration::from_millis(500));
    let start = std::time::Instant::now();
    let checks = baseline(&database, &look(&database, None));
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    drop(hold);
    let slow = find(&checks, "baseline.table", "statement timeout");
    assert_eq!(
        (slow.status, slow.object.as_deref()),
        (Status::Unknown, Some("table slow"))
    );
    assert!(
        slow.hint
            .as_deref()
            .is_some_and(|hint| hint.contains("database.statement_timeout")),
        "{slow:?}"
    );
    assert!(
        checks
            .iter()
            .any(|c| c.status == Status::Unknown && c.object.as_deref() == Some("table held")),
        "{checks:?}"
    );
}

/// A `psql` that is ended when it is dropped.
struct Psql(std::process::Child);

impl Drop for Psql {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scratch_session(server: &Server, sql: &str) -> Psql {
    let mut command = std::process::Command::new("psql");
    command
        .args(["-X", "-q", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(server.folder());
    command
        .args(["-p", &server.port.to_string(), "-c", sql])
        .stdout(std::process::Stdio::null());
    Psql(
        command
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("psql is there"),
    )
}

#[test]
fn amcheck_looks_at_indexes_or_at_tables_alone_where_the_user_may_call_no_more() {
    let Some(server) = shop() else { return };
    let functions = [
        ("indexes", "bt_index_check(regclass, boolean)"),
        (
            "tables",
            "verify_heapam(regclass, boolean, boolean, text, bigint, bigint)",
        ),
    ];
    server.sql("postgres", &["CREATE EXTENSION amcheck"]);
    for (role, function) in functions {
        let create = format!("CREATE ROLE {role} LOGIN");
        let grant = format!("GRANT EXECUTE ON FUNCTION {function} TO {role}");
        server.sql("postgres", &[&create, &grant]);
    }
    let sound = |role: &str, words: &str| {
        let database = config(&server, &json!({ "user": role }));
        let checks = baseline(&database, &look(&database, None));
        assert_eq!(
            find(&checks, "baseline.amcheck", words).status,
            Status::Pass
        );
    };
    sound("indexes", "5 indexes and 0 tables are sound");
    sound("tables", "0 indexes and 3 tables are sound");
}
