//! What must be true before an experiment may start: records of this run from upstream, and the
//! word of a person.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use chaos_common::config::Limits;
use chaos_common::record::{
    Backup, BackupAction, Check, ClusterRef, Health, Loss, LossHolder, Overridden, Record, Status,
    Time, Verdict,
};
use chaos_common::stream::Upstream;

/// Clocks of two machines may differ by this much.
const SKEW_MS: i64 = 60_000;

/// The gates that can be overridden.
const GATES: [&str; 3] = ["gate.stream", "gate.health", "gate.backup"];

/// Understands `GATE=REASON`.
///
/// # Errors
/// It names no gate that can be overridden, or no reason.
pub fn parse_override(text: &str) -> Result<Overridden, NotAnOverride> {
    let (gate, reason) = text.split_once('=').unwrap_or((text, ""));
    let (gate, reason) = (gate.trim().to_owned(), reason.trim().to_owned());
    if !GATES.contains(&gate.as_str()) {
        return Err(NotAnOverride::Gate(gate));
    }
    if reason.is_empty() {
        return Err(NotAnOverride::Reason(gate));
    }
    Ok(Overridden { gate, reason })
}

/// What overrides no gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOverride {
    /// There is no such gate.
    #[error("{0:?} is no gate that can be overridden; give {gates}, with =REASON", gates = GATES.join(", "))]
    Gate(String),
    /// Nobody says why.
    #[error("it gives no reason: {0}=\"REASON\"")]
    Reason(String),
}

/// What the records of the run must be about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The cluster that is touched.
    pub cluster: &'a ClusterRef,
    /// The application's namespace.
    pub namespace: &'a str,
    /// Data could be lost, so that a good backup is a condition.
    pub data_at_stake: bool,
    /// How old they may be.
    pub limits: &'a Limits,
    /// When they are judged.
    pub now: Time,
}

/// The gates, judged.
#[derive(Clone, Debug)]
pub struct Gates {
    /// `gate.stream`, `gate.health`, `gate.backup`.
    pub checks: Vec<Check>,
    /// Those that were closed, and are overridden.
    pub overridden: Vec<Overridden>,
}

/// Judges the gates. One that is closed and that the operator opens is a warning.
pub fn judge(upstream: &Upstream, subject: Subject<'_>, overrides: &[Overridden]) -> Gates {
    let mut checks = Vec::new();
    if let Some(why) = &upstream.broken {
        checks.push(
            Check::unknown("gate.stream", "standard input", why.clone())
                .hint("see what the tool before this one said on stderr"),
        );
    }
    let record = upstream.latest().map_err(|why| why.to_string());
    checks.push(health(record, subject));
    checks.push(if subject.data_at_stake {
        backup(upstream.latest().map_err(|why| why.to_string()), subject)
    } else {
        Check::skipped(
            "gate.backup",
            "",
            "no data is at stake: no target holds any",
        )
    });
    let mut overridden = Vec::new();
    for check in checks.iter_mut().filter(|check| check.is_bad()) {
        if let Some(given) = overrides.iter().find(|given| given.gate == check.id) {
            check.status = Status::Warn;
            check.message.insert_str(0, "overridden: ");
            overridden.push(given.clone());
        }
    }
    Gates { checks, overridden }
}

fn health(
    record: Result<Option<Record<Health>>, String>,
    Subject {
        cluster,
        namespace,
        limits,
        now,
        ..
    }: Subject<'_>,
) -> Check {
    const ID: &str = "gate.health";
    let check = match record {
        Err(why) => Check::unknown(ID, "", why),
        Ok(None) => Check::unknown(ID, "", "the stream holds no chaos.health record"),
        Ok(Some(record)) if record.data.cluster.id != cluster.id => Check::fail(
            ID,
            "",
            format!(
                "the health record is of another cluster ({}), not of {}",
                record.data.cluster.server, cluster.server
            ),
        ),
        Ok(Some(record)) if record.data.namespace != namespace => Check::fail(
            ID,
            "",
            format!(
                "the health record is of namespace {}, not of {namespace}",
                record.data.namespace
            ),
        ),
        Ok(Some(record)) => passing(ID, &record, limits, now),
    };
    check.hint("run chaos-health | chaos-inject …, or give --override gate.health=\"REASON\"")
}

fn backup(
    record: Result<Option<Record<Backup>>, String>,
    Subject {
        namespace,
        limits,
        now,
        ..
    }: Subject<'_>,
) -> Check {
    const ID: &str = "gate.backup";
    let check = match record {
        Err(why) => Check::unknown(ID, "", why),
        Ok(None) => Check::unknown(
            ID,
            "",
            "data is at stake, and the stream holds no chaos.backup record",
        ),
        Ok(Some(record)) if record.data.namespace != namespace => Check::fail(
            ID,
            "",
            format!(
                "the backup record is of namespace {}, not of {namespace}",
                record.data.namespace
            ),
        ),
        Ok(Some(record)) if record.data.action != BackupAction::Check => Check::unknown(
            ID,
            "",
            "the latest backup record is not of a check: backups were made, or restored for a drill",
        ),
        Ok(Some(record)) => passing(ID, &record, limits, now),
    };
    check.hint(
        "run chaos-health | chaos-backup-check | chaos-inject …, or give --override \
         gate.backup=\"REASON\"",
    )
}

/// A record opens its gate if it passes and is fresh.
fn passing<D>(id: &str, record: &Record<D>, limits: &Limits, now: Time) -> Check {
    let age = now.since_ms(record.time);
    let most = limits.gate_max_age.0.as_millis();
    match record.verdict {
        Some(Verdict::Pass) if age < -SKEW_MS => Check::fail(
            id,
            "",
            format!(
                "the record is {} s from the future: a clock is wrong",
                -age / 1000
            ),
        ),
        Some(Verdict::Pass) if u128::try_from(age).is_ok_and(|age| age > most) => Check::fail(
            id,
            "",
            format!(
                "the record is {} s old; it may be {} s",
                age / 1000,
                most / 1000
            ),
        ),
        Some(Verdict::Pass) => Check::pass(id, "", format!("passed {} s ago", age.max(0) / 1000)),
        Some(verdict) => Check::fail(
            id,
            "",
            format!("its verdict is {verdict}: {}", record.summary),
        ),
        None => Check::unknown(id, "", "the record has no verdict"),
    }
}

/// `gate.loss`: the person's word to each loss of data, by its name on the command line or typed on
/// the terminal. Nothing else opens it. What is accepted is marked as such.
pub fn losses(yes: bool, losses: &mut [Loss]) -> Vec<Check> {
    const ID: &str = "gate.loss";
    let mut checks = Vec::new();
    // A claim that is deleted refuses the plan itself.
    let asked = |loss: &&mut Loss| loss.holder != LossHolder::Claim;
    for loss in losses.iter_mut().filter(asked) {
        let name = loss.name.clone();
        checks.push(if loss.accepted {
            Check::pass(ID, name, "accepted with --accept-loss")
        } else if yes || terminal().is_none() {
            let hint = format!("give --accept-loss {name} to accept this very loss");
            Check::fail(ID, name, format!("{}, which nobody accepted", loss.message)).hint(hint)
        } else {
            let question = format!("{}. Type {name} to accept this loss: ", loss.message);
            loss.accepted = ask(&question) == name;
            let message = if loss.accepted {
                "accepted on the terminal"
            } else {
                "not accepted"
            };
            Check::judge(loss.accepted, ID, name, message)
        });
    }
    checks
}

/// Asks on the terminal. An answer that can't be read is no consent, whatever the reason.
fn ask(question: &str) -> String {
    let mut answer = String::new();
    if let Some(mut terminal) = terminal() {
        let _ = write!(terminal, "{question}");
        let _ = BufReader::new(terminal).read_line(&mut answer);
    }
    answer.trim().to_owned()
}

/// `gate.consent`: the person's word, from `--yes` or from the terminal.
pub fn consent(yes: bool, question: &str) -> Check {
    const ID: &str = "gate.consent";
    if yes {
        return Check::pass(ID, "", "given by --yes");
    }
    if terminal().is_none() {
        return Check::fail(ID, "", "there is no terminal to ask on").hint("give --yes");
    }
    let answer = ask(&format!("{question} Type yes to go on: "));
    Check::judge(
        answer == "yes",
        ID,
        "",
        format!("the answer was {answer:?}"),
    )
}

/// The terminal itself: standard input may be the pipe of the tool before this one. Where stderr goes
/// elsewhere, nobody is expected to sit there.
fn terminal() -> Option<File> {
    if !io::stderr().is_terminal() {
        return None;
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    terminal.ok()
}

#[cfg(test)]
mod tests {
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

    #[expect(clippy::unnecessary_wraps, reason = "as the stream gives it")]
    fn record(verdict: Verdict, seconds: i64) -> Result<Option<Record<Health>>, String> {
        let data = Health {
            cluster: cluster("c"),
            namespace: "prod".into(),
            checks: vec![],
            state: SystemState::default(),
            also: vec![],
        };
        let record = Record {
            schema: "chaos.health/1".into(),
            id: "1".into(),
            run: "r".into(),
            time: at(seconds),
            tool: "t".into(),
            verdict: Some(verdict),
            summary: "s".into(),
            data,
        };
        Ok(Some(record))
    }

    fn status(record: Result<Option<Record<Health>>, String>) -> Status {
        subject("c", "prod", |subject| health(record, subject)).status
    }

    #[test]
    fn only_a_fresh_pass_opens_the_gate() {
        assert_eq!(status(record(Verdict::Pass, -60)), Status::Pass);
        assert_eq!(status(record(Verdict::Pass, -901)), Status::Fail);
        assert_eq!(status(record(Verdict::Pass, 120)), Status::Fail);
        assert_eq!(status(record(Verdict::Fail, -1)), Status::Fail);
        assert_eq!(status(record(Verdict::Unknown, -1)), Status::Fail);
        assert_eq!(status(Ok(None)), Status::Unknown);
        assert_eq!(status(Err("newer".into())), Status::Unknown);
    }

    #[test]
    fn another_cluster_or_namespace_does_not_open_it() {
        let other = subject("d", "prod", |subject| {
            health(record(Verdict::Pass, -1), subject)
        });
        assert_eq!(other.status, Status::Fail);
        let other = subject("c", "test", |subject| {
            health(record(Verdict::Pass, -1), subject)
        });
        assert_eq!(other.status, Status::Fail);
    }

    #[test]
    fn only_a_check_of_all_backups_opens_the_gate() {
        let of = |action: &str| {
            let data =
                format!(r#"{{"namespace":"prod","action":"{action}","checks":[],"items":[]}}"#);
            let line = format!(
                r#"{{"schema":"chaos.backup/1","id":"1","run":"r","time":"{}","tool":"t 1","verdict":"pass","summary":"s","data":{data}}}"#,
                at(-1)
            );
            let upstream = Upstream::from_reader(line.as_bytes()).expect("memory can be read");
            let checks = subject("c", "prod", |subject| judge(&upstream, subject, &[]));
            checks
                .checks
                .into_iter()
                .find(|check| check.id == "gate.backup")
                .expect("the gate")
                .status
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
}
