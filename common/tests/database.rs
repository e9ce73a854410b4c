//! Sessions and fingerprints against a real PostgreSQL.

mod scratch;

use std::net::TcpListener;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chaos_common::cli::block_on;
use chaos_common::cluster::{Access, Cluster, ReadError};
use chaos_common::config::{Database, Table};
use chaos_common::postgres::{
    Before, Comparison, QueryError, Session, Snapshot, Taken, Untaken, compare,
};
use chaos_common::record::{DatabaseMoment, Status};
use scratch::{Server, needs};
use serde_json::{Value, json};

/// The server that tests share, a database each.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let programs = needs::postgres()?;
    Some(SERVER.get_or_init(|| Server::of(programs)))
}

/// A database of its own on the shared server.
fn database(name: &str, statements: &[&str]) -> Option<&'static Server> {
    let server = server()?;
    server.sql("postgres", &[&format!("CREATE DATABASE {name}")]);
    server.sql(name, statements);
    Some(server)
}

fn config(server: &Server, name: &str, more: &Value) -> Database {
    let mut config = json!({
        "vantage": "direct", "host": server.folder(), "port": server.port,
        "name": name, "user": "postgres",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).expect("a database")
}

/// A direct session needs no cluster; this one is nowhere.
async fn nowhere() -> Cluster {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], \
                clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}]}";
    std::fs::write(&path, text).expect("room on the disk");
    Cluster::connect(&Access {
        context: None,
        kubeconfig: Some(path),
        ..Access::default()
    })
    .await
    .expect("a client")
}

async fn open(config: &Database) -> Result<Session, ReadError> {
    Session::open(&nowhere().await, "none", config).await
}

fn table(name: &str, may_change: &[&str]) -> Table {
    Table {
        name: name.to_owned(),
        may_change: may_change.iter().map(|&column| column.to_owned()).collect(),
    }
}

type Look = (Option<DatabaseMoment>, Result<Taken, Untaken>);

/// One look at a table in a session of its own.
fn look(config: &Database, table: &Table, before: Option<&Look>) -> Look {
    block_on(async {
        let mut session = open(config).await.expect("a session");
        let snapshot = Snapshot::begin(&mut session).await.expect("a snapshot");
        let before = before.map(|(moment, taken)| Before {
            moment: moment.as_ref(),
            fingerprint: &taken.as_ref().expect("a fingerprint").fingerprint,
        });
        let taken = snapshot.fingerprint(&mut session, table, before).await;
        let moment = snapshot.moment.clone();
        snapshot.end(&mut session).await.expect("a good end");
        (moment, taken)
    })
}

/// What became of a table while `statements` ran.
fn after(server: &Server, name: &str, table: &Table, statements: &[&str]) -> Comparison {
    let config = config(server, name, &json!({}));
    let before = look(&config, table, None);
    server.sql(name, statements);
    let now = look(&config, table, Some(&before));
    let before = before.1.expect("a fingerprint").fingerprint;
    compare(
        &before,
        &now.1
            .unwrap_or_else(|why| panic!("{statements:?}: {why:?}")),
    )
}

const ALL_TYPES: [&str; 3] = [
    "CREATE TYPE mood AS ENUM ('good', 'bad')",
    "CREATE TABLE t (id bigint PRIMARY KEY, a int, b int, big bigint, t text, at timestamptz, f float8, n numeric, \
     raw bytea, j json, jb jsonb, list text[], u uuid, m mood, during tstzrange, \"Odd \"\"name\" bool)",
    "INSERT INTO t SELECT n, n, -n, 5, 'row ' || n, timestamptz '2026-01-01Z' + n * interval '1 s', 0.0, 1.0, \
     '\\x00ff', '{\"a\": 1}', '{\"a\": 1}', ARRAY['x', NULL], md5(n::text)::uuid, 'good', \
     tstzrange('2026-01-01Z', NULL), true FROM generate_series(1, 400) AS n",
];

#[test]
fn every_change_is_found_and_growth_passes() {
    let Some(server) = database("changes", &ALL_TYPES) else {
        return;
    };
    let t = table("t", &[]);
    for (sql, status, words) in [
        (
            "SELECT 1",
            Status::Pass,
            "400 rows of the baseline are all there as they were, no other",
        ),
        (
            "INSERT INTO t (id) VALUES (401), (402)",
            Status::Pass,
            "2 new",
        ),
        (
            "UPDATE t SET a = a + 1 WHERE id = 7",
            Status::Fail,
            "1 row of the baseline were changed",
        ),
        // PostgreSQL's own hash of a bigint is the same for these two.
        (
            "UPDATE t SET big = 4294967300 WHERE id = 7",
            Status::Fail,
            "id 1 to 26",
        ),
        (
            "UPDATE t SET a = b, b = a WHERE id = 9",
            Status::Fail,
            "1 row of the baseline were changed",
        ),
        // Two rows exchange a value: every column's sum stays what it was.
        (
            "UPDATE t SET t = CASE id WHEN 20 THEN 'row 21' ELSE 'row 20' END WHERE id IN (20, 21)",
            Status::Fail,
            "2 rows",
        ),
        (
            "UPDATE t SET at = at + interval '1 microsecond' WHERE id = 30",
            Status::Fail,
            "1 row",
        ),
        ("UPDATE t SET f = '-0' WHERE id = 31", Status::Fail, "1 row"),
        ("UPDATE t SET n = 1.00 WHERE id = 32", Status::Fail, "1 row"),
        (
            "UPDATE t SET raw = '\\x00fe' WHERE id = 33",
            Status::Fail,
            "1 row",
        ),
        (
            "UPDATE t SET j = '{\"a\":1}' WHERE id = 34",
            Status::Fail,
            "1 row",
        ),
        (
            "UPDATE t SET jb = '{\"a\": 2}' WHERE id = 35",
            Status::Fail,
            "1 row",
        ),
        (
            "UPDATE t SET list = ARRAY['x', 'NULL'] WHERE id = 36",
            Status::Fail,
            "1 row",
        ),
        ("UPDATE t SET t = NULL WHERE id = 37", Status::Fail, "1 row"),
        ("UPDATE t SET t = '' WHERE id = 37", Status::Fail, "1 row"),
        (
            "UPDATE t SET m = 'bad' WHERE id = 38",
            Status::Fail,
            "1 row",
        ),
        (
            "UPDATE t SET during = tstzrange('2026-01-01Z', '2026-01-02Z') WHERE id = 38",
            Status::Fail,
            "1 row",
        ),
        (
            "UPDATE t SET \"Odd \"\"name\" = false WHERE id = 39",
            Status::Fail,
            "1 row",
        ),
        (
            "DELETE FROM t WHERE id = 100",
            Status::Fail,
            "at least 1 row lost",
        ),
        (
            "WITH gone AS (DELETE FROM t WHERE id = 101 RETURNING 1) INSERT INTO t (id) SELECT 500 FROM gone",
            Status::Fail,
            "at least 1 row lost",
        ),
        (
            "UPDATE t SET id = 1000 WHERE id = 102",
            Status::Fail,
            "at least 1 row lost",
        ),
        // What is written is what was there: the same data, and still worth a look.
        (
            "UPDATE t SET a = a WHERE id = 103",
            Status::Warn,
            "1 row of them written anew",
        ),
        ("TRUNCATE t", Status::Fail, "lost"),
    ] {
        let result = after(server, "changes", &t, &[sql]);
        assert_eq!(result.status, status, "{sql}: {}", result.message);
        assert!(result.message.contains(words), "{sql}: {}", result.message);
    }
}

#[test]
fn a_row_that_was_lost_and_added_again_is_found() {
    let Some(server) = database(
        "again",
        &["CREATE TABLE t AS SELECT n AS id, 'x' AS v FROM generate_series(1, 9) AS n"],
    ) else {
        return;
    };
    let again = [
        "CREATE TABLE aside AS SELECT * FROM t WHERE id = 5; DELETE FROM t WHERE id = 5",
        "INSERT INTO t SELECT * FROM aside",
    ];
    let result = after(server, "again", &table("t", &[]), &again);
    assert_eq!(result.status, Status::Warn, "{}", result.message);
    assert!(
        result.message.contains("1 row of them written anew"),
        "{}",
        result.message
    );
}

#[test]
fn rows_of_a_transaction_that_was_open_at_the_baseline_are_growth() {
    let Some(server) = database(
        "late",
        &[
            "CREATE TABLE t (id serial PRIMARY KEY, v text)",
            "INSERT INTO t (v) VALUES ('first')",
        ],
    ) else {
        return;
    };
    let config = config(server, "late", &json!({}));
    let before = block_on(async {
        let mut late = open(&config).await.expect("a session");
        late.query("BEGIN").await.expect("a transaction");
        let insert = "INSERT INTO t (v) VALUES ('late') RETURNING pg_current_xact_id()";
        let own: u64 = late.row(insert).await.expect("a row");
        server.sql("late", &["INSERT INTO t (v) VALUES ('between')"]);
        let mut session = open(&config).await.expect("a session");
        let snapshot = Snapshot::begin(&mut session).await.expect("a snapshot");
        let taken = snapshot
            .fingerprint(&mut session, &table("t", &[]), None)
            .await;
        let moment = snapshot.moment.clone();
        // Other tests' transactions may be open in the same server.
        let open = moment.as_ref().map(|moment| moment.open.contains(&own));
        assert_eq!(open, Some(true));
        snapshot.end(&mut session).await.expect("a good end");
        late.query("COMMIT").await.expect("committed");
        (moment, taken)
    });
    let now = look(&config, &table("t", &[]), Some(&before))
        .1
        .expect("a fingerprint");
    let result = compare(&before.1.expect("a fingerprint").fingerprint, &now);
    assert_eq!(result.status, Status::Pass, "{}", result.message);
    assert!(result.message.contains("1 new"), "{}", result.message);
}

#[test]
fn tables_without_an_integer_key_grow_and_lose_too() {
    let Some(server) = database(
        "uuids",
        &[
            "CREATE TABLE t (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int)",
            "INSERT INTO t (n) SELECT generate_series(1, 200)",
            "CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at)",
            "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
            "INSERT INTO parts SELECT n, '2026-01-02' FROM generate_series(1, 50) AS n",
        ],
    ) else {
        return;
    };
    for name in ["t", "parts"] {
        let (column, insert) = if name == "t" {
            ("n", "INSERT INTO t (n) VALUES (1)")
        } else {
            ("id", "INSERT INTO parts VALUES (1, '2026-01-03')")
        };
        let t = table(name, &[]);
        assert_eq!(after(server, "uuids", &t, &[insert]).status, Status::Pass);
        let swapped = [&format!("DELETE FROM {name} WHERE {column} = 9"), insert];
        assert_eq!(after(server, "uuids", &t, &swapped).status, Status::Fail);
    }
}

#[test]
fn columns_that_may_change_may_and_others_may_not() {
    let Some(server) = database(
        "stock",
        &[
            "CREATE TABLE products (id int PRIMARY KEY, name text, stock int)",
            "INSERT INTO products SELECT n, 'p' || n, 9 FROM generate_series(1, 100) AS n",
        ],
    ) else {
        return;
    };
    let products = table("products", &["stock"]);
    let sold = after(
        server,
        "stock",
        &products,
        &["UPDATE products SET stock = stock - 1"],
    );
    assert_eq!(sold.status, Status::Pass, "{}", sold.message);
    let renamed = after(
        server,
        "stock",
        &products,
        &["UPDATE products SET name = 'x' WHERE id = 3"],
    );
    assert_eq!(renamed.status, Status::Fail, "{}", renamed.message);
    let lost = after(
        server,
        "stock",
        &products,
        &[
            "UPDATE products SET stock = 1",
            "DELETE FROM products WHERE id = 4",
        ],
    );
    assert_eq!(lost.status, Status::Fail, "{}", lost.message);
}

#[test]
fn columns_that_go_or_come_are_named() {
    let Some(server) = database(
        "columns",
        &[
            "CREATE TABLE t (id int PRIMARY KEY, a text)",
            "INSERT INTO t VALUES (1, 'x')",
        ],
    ) else {
        return;
    };
    let new = after(
        server,
        "columns",
        &table("t", &[]),
        &["ALTER TABLE t ADD colour text DEFAULT 'red'"],
    );
    assert_eq!(new.status, Status::Warn, "{}", new.message);
    assert!(new.message.contains("colour"), "{}", new.message);
    let config = config(server, "columns", &json!({}));
    let before = look(&config, &table("t", &[]), None);
    server.sql("columns", &["ALTER TABLE t DROP COLUMN a"]);
    let gone = look(&config, &table("t", &[]), Some(&before)).1;
    assert!(
        matches!(&gone, Err(Untaken::Columns(names)) if names == &["\"a\" text"]),
        "{gone:?}"
    );
}

#[test]
fn what_can_not_be_read_is_named_and_does_not_spoil_the_rest() {
    let Some(server) = database(
        "refused",
        &[
            "CREATE TABLE secret (id int)",
            "CREATE TABLE hidden (id int)",
            "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
            "CREATE TABLE plain (id int)",
            "CREATE ROLE reader LOGIN",
            "GRANT SELECT ON hidden, plain TO reader",
            "CREATE VIEW broken AS SELECT 1 / (id - id) AS n FROM plain",
            "INSERT INTO plain VALUES (1)",
            "GRANT SELECT ON broken TO reader",
        ],
    ) else {
        return;
    };
    let config = config(server, "refused", &json!({ "user": "reader" }));
    block_on(async {
        let mut session = open(&config).await.expect("a session");
        let snapshot = Snapshot::begin(&mut session).await.expect("a snapshot");
        let mut take = async |name: &str, may_change: &[&str]| {
            snapshot
                .fingerprint(&mut session, &table(name, may_change), None)
                .await
        };
        assert!(matches!(take("secret", &[]).await, Err(Untaken::Forbidden)));
        assert!(matches!(take("nothing", &[]).await, Err(Untaken::Missing)));
        assert!(matches!(
            take("no.schema.here", &[]).await,
            Err(Untaken::NoName)
        ));
        assert!(matches!(
            take("plain", &["colour"]).await,
            Err(Untaken::NoColumn(_))
        ));
        // A policy that hides rows is an error, and not a table with fewer of them.
        let hidden = take("hidden", &[]).await;
        assert!(
            matches!(&hidden, Err(Untaken::Failed(error)) if error.why.contains("row-level security")),
            "{hidden:?}"
        );
        assert!(
            matches!(take("broken", &[]).await, Err(Untaken::Failed(error)) if error.state.is_some())
        );
        assert_eq!(
            take("plain", &[]).await.expect("readable").fingerprint.rows,
            1
        );
    });
}

#[test]
fn settings_of_the_user_do_not_change_a_fingerprint() {
    let Some(server) = database("settings", &ALL_TYPES) else {
        return;
    };
    let first = look(
        &config(server, "settings", &json!({})),
        &table("t", &[]),
        None,
    )
    .1
    .expect("a fingerprint");
    server.sql(
        "settings",
        &[
            "CREATE ROLE odd LOGIN SUPERUSER",
            "ALTER ROLE odd SET datestyle = 'German'",
            "ALTER ROLE odd SET timezone = 'Asia/Tokyo'",
            "ALTER ROLE odd SET extra_float_digits = -5",
            "ALTER ROLE odd SET bytea_output = 'escape'",
            "ALTER ROLE odd SET search_path = pg_catalog, public",
        ],
    );
    let odd = config(server, "settings", &json!({ "user": "odd" }));
    assert_eq!(
        look(&odd, &table("t", &[]), None)
            .1
            .expect("a fingerprint")
            .fingerprint,
        first.fingerprint
    );
}

#[test]
fn a_snapshot_can_not_write() {
    let Some(server) = database("readonly", &["CREATE TABLE t (id int)"]) else {
        return;
    };
    block_on(async {
        let mut session = open(&config(server, "readonly", &json!({})))
            .await
            .expect("a session");
        let _snapshot = Snapshot::begin(&mut session).await.expect("a snapshot");
        let error = session
            .attempt("INSERT INTO t VALUES (1)")
            .await
            .expect_err("refused");
        assert_eq!(error.state.as_deref(), Some("25006"), "{error}");
    });
}

#[test]
fn a_statement_that_takes_too_long_is_ended_by_the_server_and_the_session_goes_on() {
    let Some(server) = database("slow", &[]) else {
        return;
    };
    let sleep = |limit: &str| {
        let config = config(server, "slow", &json!({ "statement_timeout": limit }));
        block_on(async move {
            let mut session = open(&config).await.expect("a session");
            let _snapshot = Snapshot::begin(&mut session).await?;
            let error = session.attempt("SELECT pg_sleep(600)").await;
            let error = error.expect_err("too long");
            assert!(error.is_timeout(), "{error}");
            session.query("SELECT 7").await
        })
    };
    // On a busy machine the other statements may take too long as well.
    let after = ["300ms", "3s", "30s"].into_iter().find_map(|limit| {
        let after = sleep(limit);
        let late = after.as_ref().is_err_and(QueryError::is_timeout);
        (!late).then_some(after)
    });
    let after = after.expect("it answers within 30 s");
    assert_eq!(after.expect("it goes on"), ["7"]);
}

#[test]
fn a_session_that_is_ended_in_the_middle_is_an_error_and_stays_one() {
    let Some(server) = database("ended", &[]) else {
        return;
    };
    block_on(async {
        let mut session = open(&config(server, "ended", &json!({})))
            .await
            .expect("a session");
        let pid = session
            .query("SELECT pg_backend_pid()")
            .await
            .expect("a pid")
            .remove(0);
        let end = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(500));
            server.sql("ended", &[&format!("SELECT pg_terminate_backend({pid})")]);
        });
        let error = session
            .query("SELECT pg_sleep(30)")
            .await
            .expect_err("ended");
        assert_eq!(error.state, None, "{error}");
        assert!(session.query("SELECT 1").await.is_err());
        end.join().expect("it ended");
    });
}

#[test]
fn who_refuses_is_named() {
    let Some(server) = database("refusals", &["CREATE ROLE shop LOGIN PASSWORD 'right'"]) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let password = folder.path().join("password");
    std::fs::write(&password, "hunter2").expect("room on the disk");
    let error = |more: &Value| {
        let error = block_on(open(&config(server, "refusals", more))).expect_err("refused");
        let text = format!("{error} / {}", error.next_step().unwrap_or_default());
        assert!(!text.contains("hunter2"), "{text}");
        text
    };
    assert!(error(&json!({ "name": "nothing" })).contains("\"nothing\" does not exist"));
    let tcp = json!({ "host": "127.0.0.1", "user": "shop", "password": { "file": password }, "tls": "none" });
    let wrong = error(&tcp);
    assert!(
        wrong.contains("password authentication failed") && wrong.contains("database.password"),
        "{wrong}"
    );
    let plain = error(&json!({ "host": "127.0.0.1" }));
    assert!(
        plain.contains("does not support TLS") && plain.contains("database.tls"),
        "{plain}"
    );
    let nobody = error(&json!({ "host": "127.0.0.1", "port": 1, "tls": "none" }));
    assert!(
        nobody.contains("127.0.0.1:1") && nobody.contains("refused"),
        "{nobody}"
    );
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("bound").port();
    let Some(server) = server() else { return };
    let config = config(
        server,
        "x",
        &json!({ "host": "127.0.0.1", "port": port, "tls": "none" }),
    );
    let start = Instant::now();
    let error = block_on(open(&config)).expect_err("nobody speaks");
    assert!(error.to_string().contains("no answer in 10 s"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

/// A server with TLS: its own authority, and certificates that are good, expired and of another
/// name.
#[test]
fn certificates_are_checked_and_what_is_wrong_is_named() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.sql("postgres", &["CREATE ROLE shop LOGIN PASSWORD 'right'"]);
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
        -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE && \
        cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=db && \
        printf 'subjectAltName=%s\\n' \"$2\" >$1.ext && \
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days \"$3\" -extfile $1.ext && \
        chmod 600 $1.key; } && \
        cert good IP:127.0.0.1 2 && cert other DNS:other.example 2 && cert expired IP:127.0.0.1 -1";
    let openssl = server.shell(make).output().expect("sh is there");
    assert!(
        openssl.status.success(),
        "{}",
        String::from_utf8_lossy(&openssl.stderr)
    );
    let folder = server.folder().to_owned();
    let password = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(password.path(), "right\n").expect("room on the disk");
    for (certificate, more, wrong) in [
        ("good", json!({ "ca": folder.join("ca.pem") }), None),
        ("good", json!({}), Some("database.ca")),
        (
            "good",
            json!({ "ca": folder.join("none.pem") }),
            Some("none.pem"),
        ),
        (
            "other",
            json!({ "ca": folder.join("ca.pem") }),
            Some("of another name"),
        ),
        ("other", json!({ "tls": "require" }), None),
        (
            "expired",
            json!({ "ca": folder.join("ca.pem") }),
            Some("has expired"),
        ),
    ] {
        server.stop();
        let files = [
            format!("ssl_cert_file=\"$PWD/{certificate}.pem\""),
            format!("ssl_key_file=\"$PWD/{certificate}.key\""),
        ];
        server.run(&["ssl=on", &files[0], &files[1]]);
        let mut settings =
            json!({ "host": "127.0.0.1", "user": "shop", "password": { "file": password.path() } });
        for (key, value) in more.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        let config = config(&server, "postgres", &settings);
        let ssl = block_on(async {
            let mut session = open(&config).await?;
            let sql = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
            session.query(sql).await.map_err(ReadError::from)
        });
        match (ssl, wrong) {
            (Ok(ssl), None) => assert_eq!(ssl, ["true"], "{certificate}"),
            (Err(error), Some(words)) => {
                let text = format!("{error} / {}", error.next_step().unwrap_or_default());
                assert!(text.contains(words), "{certificate}: {text}");
            }
            (outcome, expected) => {
                panic!("{certificate} {more}: {outcome:?}, expected {expected:?}")
            }
        }
    }
}

/// A server that lets in who shows a certificate of its authority.
#[test]
fn our_own_certificate_is_shown_where_one_is_configured() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.sql("postgres", &["CREATE ROLE shop LOGIN"]);
    let make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
        -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE && \
        cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=shop && \
        printf 'subjectAltName=IP:127.0.0.1\\n' >$1.ext && \
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days 2 -extfile $1.ext && \
        chmod 600 $1.key; } && cert server && cert client && mkdir ours && cp client.key client.pem ca.pem ours/ && \
        printf 'local all all trust\\nhostssl all all 127.0.0.1/32 cert\\n' >data/pg_hba.conf";
    let openssl = server.shell(make).output().expect("sh is there");
    let said = String::from_utf8_lossy(&openssl.stderr);
    assert!(openssl.status.success(), "{said}");
    server.stop();
    server.run(&[
        "ssl=on",
        "ssl_cert_file=\"$PWD/server.pem\"",
        "ssl_key_file=\"$PWD/server.key\"",
        "ssl_ca_file=\"$PWD/ca.pem\"",
    ]);
    let ours = server.folder().join("ours");
    let mut settings = json!({ "host": "127.0.0.1", "user": "shop", "ca": ours.join("ca.pem") });
    let ask = |settings: &Value| {
        let config = config(&server, "postgres", settings);
        block_on(async {
            let mut session = open(&config).await?;
            session
                .query("SELECT current_user")
                .await
                .map_err(ReadError::from)
        })
    };
    let without = ask(&settings).expect_err("it wants one").to_string();
    assert!(without.contains("certificate"), "{without}");
    settings["certificate"] = json!(ours.join("client.pem"));
    settings["key"] = json!(ours.join("client.key"));
    assert_eq!(ask(&settings).expect("it lets us in"), ["shop"]);
    settings["key"] = json!(ours.join("none.key"));
    let missing = ask(&settings)
        .expect_err("there is no such file")
        .to_string();
    assert!(missing.contains("none.key"), "{missing}");
}

#[test]
fn a_byte_that_changed_on_the_disk_is_corruption_and_a_broken_page_is_damage() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.sql(
        "postgres",
        &[
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t SELECT n, 'a row with the number ' || n FROM generate_series(1, 500) AS n",
        ],
    );
    let path = server.sql("postgres", &["SELECT pg_relation_filepath('t')"]);
    let file = server.folder().join("data").join(path);
    let config = config(&server, "postgres", &json!({}));
    let t = table("t", &[]);
    let before = look(&config, &t, None);
    server.stop();
    let mut bytes = std::fs::read(&file).expect("the table's file");
    let row = b"a row with the number 77";
    let at = bytes
        .windows(row.len())
        .position(|part| part == row)
        .expect("the row is in it");
    bytes[at] ^= 0x01;
    std::fs::write(&file, &bytes).expect("it can be written");
    server.run(&[]);
    let now = look(&config, &t, Some(&before)).1.expect("a fingerprint");
    let result = compare(&before.1.as_ref().expect("a fingerprint").fingerprint, &now);
    assert_eq!(result.status, Status::Fail, "{}", result.message);
    assert!(
        result.message.contains("corrupted") && result.message.contains("id 65 to 96"),
        "{}",
        result.message
    );
    server.stop();
    // The header of the first page.
    bytes[8..24].fill(0xff);
    std::fs::write(&file, &bytes).expect("it can be written");
    server.run(&[]);
    let broken = look(&config, &t, Some(&before))
        .1
        .expect_err("it can't be read");
    assert!(
        matches!(&broken, Untaken::Failed(error) if error.is_damage()),
        "{broken:?}"
    );
}
