//! The gates, on streams that are made up.

use super::*;
use chaos_common::record::SystemState;

fn cluster(id: &str) -> ClusterRef {
    ClusterRef {
        id: id.into(),
        context: None,
        server: "https://x".into(),
    }
}

/// What is judged of a subject whose data is at stake.
fn subject<T>(id: &str, namespace: &str, judged: impl FnOnce(Subject<'_>) -> T) -> T {
    judged(Subject {
        run: "r",
        cluster: &cluster(id),
        namespace,
        data_at_stake: true,
        limits: &Limits::default(),
        now: at(0),
    })
}

fn at(seconds: i64) -> Time {
    let time: Time = serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("a time");
    Time(time.0 + jiff::SignedDuration::from_secs(seconds))
}

fn record(verdict: Verdict, seconds: i64) -> Record<Health> {
    let data = Health {
        cluster: cluster("c"),
        namespace: "prod".into(),
        checks: vec![],
        state: SystemState::default(),
        also: vec![],
    };
    Record {
        schema: "chaos.health/1".into(),
        id: "1".into(),
        run: "r".into(),
        time: at(seconds),
        tool: "t".into(),
        verdict: Some(verdict),
        summary: "s".into(),
        data,
    }
}

/// A stream of these records.
fn stream(records: &[Record<Health>]) -> Upstream {
    let lines = records
        .iter()
        .map(|record| serde_json::to_string(record).expect("JSON"));
    let text = lines.collect::<Vec<_>>().join("\n");
    Upstream::from_reader(text.as_bytes()).expect("memory can be read")
}

/// What the gate of this id says of a stream.
fn gate(id: &str, upstream: &Upstream, (cluster, namespace): (&str, &str)) -> Check {
    let gates = subject(cluster, namespace, |subject| judge(upstream, subject, &[]));
    let mut checks = gates.checks.into_iter();
    checks.find(|check| check.id == id).expect("the gate")
}

fn status(record: Record<Health>) -> Status {
    gate("gate.health", &stream(&[record]), ("c", "prod")).status
}

#[test]
fn only_a_fresh_pass_opens_the_gate() {
    assert_eq!(status(record(Verdict::Pass, -60)), Status::Pass);
    assert_eq!(status(record(Verdict::Pass, -901)), Status::Fail);
    assert_eq!(status(record(Verdict::Pass, 120)), Status::Fail);
    assert_eq!(status(record(Verdict::Fail, -1)), Status::Fail);
    assert_eq!(status(record(Verdict::Unknown, -1)), Status::Fail);
    let none = gate("gate.health", &Upstream::default(), ("c", "prod"));
    assert_eq!(none.status, Status::Unknown);
    let newer = Record {
        schema: "chaos.health/2".into(),
        ..record(Verdict::Pass, -1)
    };
    assert_eq!(status(newer), Status::Unknown);
}

#[test]
fn another_cluster_or_namespace_does_not_open_it() {
    let passes = stream(&[record(Verdict::Pass, -1)]);
    for other in [("d", "prod"), ("c", "test")] {
        assert_eq!(gate("gate.health", &passes, other).status, Status::Fail);
    }
}

#[test]
fn records_of_another_run_open_nothing() {
    // As when the stream of an earlier run, which ended well, is put in front of this one.
    let earlier = Record {
        run: "earlier".into(),
        ..record(Verdict::Pass, -1)
    };
    let health = gate("gate.health", &stream(&[earlier]), ("c", "prod"));
    assert_eq!(health.status, Status::Fail);
    let said = "the chaos.health record is of run earlier, not of this one (r)";
    assert_eq!(health.message, said);
    let backup = backup_record("check").replace("\"run\":\"r\"", "\"run\":\"earlier\"");
    let upstream = Upstream::from_reader(backup.as_bytes()).expect("memory can be read");
    let backup = gate("gate.backup", &upstream, ("c", "prod"));
    assert_eq!(backup.status, Status::Fail);
}

#[test]
fn a_backup_record_behind_the_health_of_another_cluster_opens_nothing() {
    let health = serde_json::to_string(&record(Verdict::Pass, -1)).expect("JSON");
    let text = format!("{health}\n{}", backup_record("check"));
    let upstream = Upstream::from_reader(text.as_bytes()).expect("memory can be read");
    let status = |cluster| gate("gate.backup", &upstream, (cluster, "prod")).status;
    assert_eq!(status("c"), Status::Pass);
    assert_eq!(status("d"), Status::Fail);
}

/// A backup record that passes, of this action.
fn backup_record(action: &str) -> String {
    let data = format!(r#"{{"namespace":"prod","action":"{action}","checks":[],"items":[]}}"#);
    format!(
        r#"{{"schema":"chaos.backup/1","id":"1","run":"r","time":"{}","tool":"t 1","verdict":"pass","summary":"s","data":{data}}}"#,
        at(-1)
    )
}

#[test]
fn only_a_check_of_all_backups_opens_the_gate() {
    let of = |action: &str| {
        let line = backup_record(action);
        let upstream = Upstream::from_reader(line.as_bytes()).expect("memory can be read");
        gate("gate.backup", &upstream, ("c", "prod")).status
    };
    assert_eq!(of("check"), Status::Pass);
    assert_eq!(of("export"), Status::Unknown);
    assert_eq!(of("drill"), Status::Unknown);
}

#[test]
fn data_at_stake_wants_a_backup_and_an_override_is_shown() {
    let upstream = Upstream::default();
    let closed = subject("c", "prod", |subject| judge(&upstream, subject, &[]));
    assert!(
        closed.overridden.is_empty()
            && closed
                .checks
                .iter()
                .any(|c| c.id == "gate.backup" && c.status == Status::Unknown)
    );
    let given = ["gate.health=no Prometheus yet", "gate.backup=made by hand"];
    let given = given.map(|text| parse_override(text).expect("an override"));
    let open = subject("c", "prod", |subject| judge(&upstream, subject, &given));
    assert_eq!(open.overridden, given);
    assert!(
        open.checks
            .iter()
            .all(|c| c.status == Status::Warn && c.message.starts_with("overridden: ")),
        "{open:?}"
    );
}

#[test]
fn an_override_opens_the_gate_that_it_names_and_no_other() {
    let upstream = Upstream::default();
    let given = [parse_override("gate.health=no Prometheus yet").expect("an override")];
    let judged = subject("c", "prod", |subject| judge(&upstream, subject, &given));
    assert_eq!(judged.overridden, given);
    let bad: Vec<&str> = judged
        .checks
        .iter()
        .filter(|check| check.is_bad())
        .map(|check| check.id.as_str())
        .collect();
    assert_eq!(bad, ["gate.backup"]);
}

#[test]
fn an_override_names_its_gate_and_its_reason() {
    let error = |text| parse_override(text).expect_err("refused").to_string();
    let gates = "give gate.stream, gate.health, gate.backup, with =REASON";
    assert_eq!(
        error("no backup yet"),
        format!("\"no backup yet\" is no gate that can be overridden; {gates}")
    );
    assert_eq!(
        error("gate.consent=x"),
        format!("\"gate.consent\" is no gate that can be overridden; {gates}")
    );
    let reason = "it gives no reason: gate.backup=\"REASON\"";
    assert_eq!(error("gate.backup= "), reason);
}
