//! A second reader of the records, declared anew from what they promise, that refuses what it does
//! not know. It keeps the tools from changing the stream by accident.

#![allow(
    missing_docs,
    dead_code,
    reason = "the fields are documented where they are promised; here only their shape counts"
)]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

macro_rules! strict {
    ($($name:ident { $($(#[$attribute:meta])? $field:ident: $type:ty),* $(,)? })*) => {
        $(#[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct $name { $($(#[$attribute])? $field: $type),* })*
    };
}

strict! {
    Envelope { schema: String, id: String, run: String, time: String, tool: String, verdict: Option<String>, summary: String, data: Value }
    Check { id: String, object: Option<String>, status: String, message: String, hint: Option<String>, vantage: Option<String> }
    ClusterRef { id: String, context: Option<String>, server: String }
    WorkloadRef { kind: String, namespace: String, name: String }
    State { workloads: Vec<Workload>, services: Vec<Service>, nodes: Vec<Node> }
    Workload { kind: String, namespace: String, name: String, wants: i32, ready: i32, images: Vec<String>, restarts: i64, #[serde(default)] nodes: Vec<Placement>, cpu_cores: Option<f64>, memory_bytes: Option<u64> }
    Placement { node: String, pods: u32 }
    Service { namespace: String, name: String, ready: usize, not_ready: usize }
    Node { name: String, ready: bool, cpu_allocatable_cores: f64, memory_allocatable_bytes: u64, cpu_cores: Option<f64>, memory_bytes: Option<u64> }
    Health { cluster: ClusterRef, namespace: String, checks: Vec<Check>, state: State }
    Backup { namespace: String, action: Option<String>, checks: Vec<Check>, items: Vec<Item> }
    Item { name: String, path: String, resolved: Option<String>, size_bytes: Option<u64>, made: Option<String>, age_s: Option<i64>, max_age_s: Option<i64>, blake3: Option<String>, contents: Option<Contents>, drill: Option<Drill> }
    Drill { verdict: String, time: String, blake3: String, size_bytes: u64, restore_ms: Option<u64>, into: String, rows: Option<u64>, summary: String }
    Rows { table: String, rows: u64 }
    Baseline { cluster: ClusterRef, namespace: String, checks: Vec<Check>, database: Option<Database>, configuration: Vec<Digest>, answers: Vec<Answer>, timings: Vec<Timing>, #[serde(default)] usage: Vec<Usage> }
    Usage { kind: String, namespace: String, name: String, pods: usize, samples: usize, cpu_cores: f64, memory_bytes: u64 }
    Database { vantage: String, database: String, server_version: String, size_bytes: u64, tables: Vec<Rows>, server_time: Option<String>, moment: Option<Moment>, fingerprints: Option<Vec<Fingerprint>>, sequences: Option<Vec<Sequence>>, guards: Option<Vec<Guard>>, damage: Option<Vec<Damage>>, replicas: Option<Vec<Replica>>, in_recovery: Option<bool>, checksum_failures: Option<u64> }
    Moment { system: String, database: u64, next: u64, open: Vec<u64> }
    Fingerprint { table: String, method: String, columns: Vec<String>, left_out: Option<Vec<String>>, rows: u64, sum: String, key: Option<String>, ranges: Option<Vec<Range>> }
    Range { first: i64, last: i64, rows: u64, sum: String }
    Sequence { sequence: String, column: String, last: Option<i64>, greatest: Option<i64>, increment: i64 }
    Guard { kind: String, table: String, name: String, definition: String, valid: bool }
    Damage { object: String, message: String }
    Replica { name: String, state: String, lag_bytes: Option<i64>, lag_ms: Option<f64> }
    Digest { kind: String, name: String, digest: String }
    Answer { service: String, path: String, vantage: String, status: u16, items: Option<u64> }
    Timing { service: String, path: String, vantage: String, requests: usize, errors: usize, p50_ms: Option<f64>, p95_ms: Option<f64>, p99_ms: Option<f64>, p999_ms: Option<f64>, max_ms: Option<f64>, #[serde(default)] failures: Vec<String>, load: Option<LoadFigures>, steps: Option<Steps>, window_ms: Option<f64>, #[serde(default)] windows: Vec<Window>, #[serde(default)] distribution: Vec<Bar>, histogram: Option<String> }
    LoadFigures { profile: Option<String>, started: String, duration_ms: u64, offered_rate: Option<f64>, achieved_rate: f64, connections: usize, protocol: String, pods: Option<usize>, lag_p50_ms: f64, lag_p99_ms: f64, saturated: Option<String>, #[serde(default)] sent_again: u64, interrupted_ms: Option<u64> }
    Steps { lookup_ms: f64, connect_ms: f64, tls_ms: Option<f64>, first_byte_ms: f64, total_ms: f64 }
    Window { requests: u64, errors: u64, p50_ms: Option<f64>, p99_ms: Option<f64>, histogram: String }
    Bar { up_to_ms: f64, count: u64 }
    Load { checks: Vec<Check>, timings: Vec<Timing> }
    Judgement { service: String, path: String, figure: String, status: String, before: f64, after: f64, limit: f64, low: Option<f64>, high: Option<f64>, needs_requests: Option<u64> }
    Notification { occasion: String, event: Option<String>, subject: String, text: String, contacts: Vec<Contact>, channels: Vec<Channel>, escalation: Option<Escalation>, checks: Vec<Check> }
    Escalation { told: Vec<EscalationStep>, acknowledged: Option<Acknowledgement>, end: String }
    EscalationStep { contact: String, time: String, channels: Vec<Channel> }
    Acknowledgement { by: String, via: String, time: String }
    Contact { role: String, name: String, phone: String }
    Channel { channel: String, to: String, outcome: String, attempts: u32, detail: String, receipt: Option<String>, #[serde(default)] recipients: Vec<Recipient>, #[serde(default)] spooled: bool }
    Recipient { to: String, outcome: String, detail: String }
    Plan { experiment: String, #[serde(default)] choice: Value, digest: Option<String>, cluster: ClusterRef, namespace: String, targets: Vec<Target>, #[serde(default)] probe_pods: Vec<Change>, changes: Vec<Change>, calls: Vec<Call>, hold_ms: u64, affected: Vec<String>, alerts: Vec<String>, blast_radius: Vec<Radius>, #[serde(default)] claims: Vec<Claim>, #[serde(default)] losses: Vec<Loss>, undo: String, undo_commands: Vec<String>, worst_case_ms: u64, limits: Option<PlanLimits>, permissions: Vec<Permission>, #[serde(default)] overridden: Vec<Overridden>, checks: Vec<Check> }
    Claim { namespace: String, name: String, uid: String, volume: Option<String> }
    Loss { name: String, holder: String, workload: WorkloadRef, message: String, accepted: bool }
    PlanLimits { recovery_ms: u64, min_availability_percent: f64, alert_wait_ms: Option<u64> }
    Target { kind: String, namespace: String, name: String, uid: String, owner: WorkloadRef, node: Option<String> }
    Call { method: String, path: String, precondition: Option<String> }
    Radius { workload: WorkloadRef, ready: usize, hit: usize, left: usize, services: Vec<String> }
    Permission { verb: String, group: String, resource: String, namespace: String, name: Option<String>, allowed: bool }
    Object { api_version: String, kind: String, resource: String, namespace: Option<String>, name: String, uid: Option<String> }
    Overridden { gate: String, reason: String }
    Event { event: String, object: Option<String>, since_injection_ms: Option<f64> }
    Experiment { experiment: String, outcome: String, reason: Option<String>, cluster: Option<ClusterRef>, namespace: String, executor: String, targets: Vec<Target>, #[serde(default)] affected: Vec<String>, started: String, injected: Option<String>, restored: Option<String>, ended: String, duration_ms: u64, checks: Vec<Check>, recoveries: Vec<Recovery>, availability: Vec<Availability>, alerts: Vec<Alert>, #[serde(default)] losses: Vec<Loss>, timings: BTreeMap<String, f64>, #[serde(default)] overridden: Vec<Overridden>, actions: Vec<String>, issues: Vec<String> }
    Alert { name: String, expected: bool, before: bool, fired_ms: Option<f64>, delivered_ms: Option<f64> }
    Rollback { cause: String, cluster: Option<ClusterRef>, namespaces: Vec<String>, executor: String, reason: Option<String>, dry_run: bool, runs: Vec<Held>, locks: Vec<Lock>, checks: Vec<Check>, actions: Vec<String>, issues: Vec<String> }
    Held { run: String, experiment: String, executor: String, since: Option<String>, alive: Option<bool>, changes: Vec<Change>, undone: bool }
    Lock { namespace: String, executor: String, reason: String, since: Option<String> }
    Pod { name: String, uid: String }
    Recovery { deleted: Pod, replacement: Option<Pod>, owner: WorkloadRef, phases: BTreeMap<String, f64>, recovery_ms: Option<f64>, error_bound_ms: f64 }
    Availability { service: String, path: String, vantage: String, interval_ms: u64, requests: u64, good: u64, missed: u64, percent: f64, longest_gap_ms: f64, p50_ms: Option<f64>, max_ms: Option<f64>, errors: Vec<String>, #[serde(default)] windows: Vec<AnswerWindow> }
    AnswerWindow { from_ms: i64, length_ms: i64, requests: u64, good: u64, #[serde(default)] missed: u64, p50_ms: Option<f64>, max_ms: Option<f64> }
    Verification { cluster: ClusterRef, namespace: String, since: String, checks: Vec<Check>, state: State, database: Option<Database>, configuration: Vec<Digest>, answers: Vec<Answer>, log_errors: Vec<LogErrors>, timings: Vec<Timing>, #[serde(default)] usage: Vec<Usage>, #[serde(default)] judgements: Vec<Judgement> }
    LogErrors { workload: String, pods: usize, lines: u64, outage_lines: u64, quiet_ms: Option<u64>, #[serde(default)] patterns: Vec<PatternCount>, samples: Vec<String> }
    PatternCount { pattern: String, lines: u64 }
    Note { about: Option<String>, author: String, executor: Option<String>, #[serde(default)] lessons: Vec<String>, #[serde(default)] improvements: Vec<String>, #[serde(default)] next_steps: Vec<NextStep>, #[serde(default)] done: Vec<String> }
    NextStep { id: String, text: String, owner: Option<String>, due: Option<String> }
    Report { form: String, subject: String, status: String, location: String, #[serde(default)] files: Vec<String>, stream: Option<String>, findings: Vec<String>, next_steps: Vec<String>, checks: Vec<Check> }
}

#[derive(Deserialize, Debug)]
#[serde(tag = "format", rename_all = "kebab-case", deny_unknown_fields)]
enum Contents {
    Postgres {
        version: String,
        database: String,
        server_version: String,
        compression: String,
        entries: usize,
        tables: Vec<Rows>,
    },
    Tar {
        members: u64,
        unpacked_bytes: u64,
    },
    Kubernetes {
        objects: usize,
        kinds: BTreeMap<String, usize>,
    },
    VolumeSnapshot {
        claim: Option<String>,
        bound_to: Option<String>,
    },
    Tool {
        tool: String,
        backup: String,
        proven: Vec<String>,
        unproven: Vec<String>,
    },
}

#[derive(Deserialize, Debug)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
enum Change {
    Set {
        object: Object,
        field: Vec<String>,
        original: Value,
        faulted: Value,
    },
    Make {
        object: Object,
        manifest: Value,
    },
    Take {
        object: Object,
    },
}

/// Reads one line; anything that is not promised is an error.
///
/// # Errors
/// What is wrong with it.
pub fn read(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    let envelope =
        Envelope::deserialize(&value).map_err(|error| format!("not our envelope: {error}"))?;
    let time = envelope.time.as_bytes();
    if !(time.len() >= 24 && time.ends_with(b"Z") && time[10] == b'T' && time[19] == b'.') {
        return Err(format!(
            "{} is not a time in UTC with milliseconds",
            envelope.time
        ));
    }
    let has_verdict = matches!(
        envelope.verdict.as_deref(),
        Some("pass" | "fail" | "unknown")
    );
    if has_verdict == (envelope.schema == "chaos.event/1") {
        return Err(format!(
            "the verdict of {} is {:?}",
            envelope.schema, envelope.verdict
        ));
    }
    macro_rules! data {
        ($type:ty) => {
            <$type>::deserialize(&envelope.data).map(drop)
        };
    }
    match envelope.schema.as_str() {
        "chaos.health/1" => data!(Health),
        "chaos.backup/1" => data!(Backup),
        "chaos.baseline/1" => data!(Baseline),
        "chaos.notification/1" => data!(Notification),
        "chaos.plan/1" => data!(Plan),
        "chaos.event/1" => data!(Event),
        "chaos.experiment/1" => data!(Experiment),
        "chaos.rollback/1" => data!(Rollback),
        "chaos.verification/1" => data!(Verification),
        "chaos.report/1" => data!(Report),
        "chaos.load/1" => data!(Load),
        "chaos.note/1" => data!(Note),
        other => return Err(format!("{other} is no kind of ours")),
    }
    .map_err(|error| {
        format!(
            "the data of {} is not as promised: {error}",
            envelope.schema
        )
    })?;
    Ok(value)
}
