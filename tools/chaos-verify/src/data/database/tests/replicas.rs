//! A primary and its replica.

use chaos_common::record::Status;
use serde_json::json;

use super::{bad, config, find, judged, shop, state};

#[test]
fn a_replica_that_is_gone_fails_and_one_that_became_the_primary_is_told() {
    let Some(server) = shop() else { return };
    let mut replica = server.replica();
    let (primary, follower) = (config(&server, &json!({})), config(&replica, &json!({})));
    let (before, below) = (state(&primary), state(&follower));
    assert_eq!(
        (before.replicas.len(), before.in_recovery, below.in_recovery),
        (1, Some(false), Some(true)),
        "{before:?}"
    );
    assert_eq!(before.replicas[0].state, "streaming");
    assert_eq!(bad(&judged(&primary, &before)), []);
    let checks = judged(&follower, &below);
    assert_eq!(bad(&checks), [], "{checks:?}");
    // The application's address leads to the replica now.
    assert_eq!(
        find(&judged(&follower, &before), "data.role", "takes no writes").status,
        Status::Fail
    );
    replica.sql("postgres", &["SELECT pg_promote()"]);
    assert_eq!(
        find(
            &judged(&follower, &below),
            "data.role",
            "it is the primary now"
        )
        .status,
        Status::Warn
    );
    replica.stop();
    let checks = judged(&primary, &before);
    assert_eq!(
        bad(&checks),
        [(Status::Fail, "data.replica replica walreceiver".to_owned())],
        "{checks:?}"
    );
    find(&checks, "data.replica", "does not follow any more");
}
