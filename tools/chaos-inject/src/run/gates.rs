//! What must be true before an experiment may start: records of this run from upstream, and the
//! word of a person.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use chaos_common::config::Limits;
use chaos_common::record::{
    Backup, BackupAction, Check, ClusterRef, Health, Loss, LossHolder, Record, Status, Time,
    Verdict,
};
use chaos_common::stream::Upstream;

/// Clocks of two machines may differ by this much.
const SKEW_MS: i64 = 60_000;

/// What the person who runs the experiment has agreed to.
#[derive(Clone, Debug)]
pub struct Consent {
    /// `--yes`.
    pub yes: bool,
    /// `--override REASON`.
    pub reason: Option<String>,
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
    /// One of them was closed, and is overridden.
    pub overridden: bool,
}

/// Judges the gates. With `overriding`, a gate that is closed is a warning.
pub fn judge(upstream: &Upstream, subject: Subject<'_>, overriding: bool) -> Gates {
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
    let closed = |check: &&mut Check| matches!(check.status, Status::Fail | Status::Unknown);
    let mut overridden = false;
    if overriding {
        for check in checks.iter_mut().filter(closed) {
            check.status = Status::Warn;
            check.message.insert_str(0, "overridden: ");
            overridden = true;
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
    check.hint("run chaos-health | chaos-inject …, or give --override \"reason\"")
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
        "run chaos-health | chaos-backup-check | chaos-inject …, or give --override \"reason\"",
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
pub fn losses(given: &Consent, losses: &mut [Loss]) -> Vec<Check> {
    const ID: &str = "gate.loss";
    let mut checks = Vec::new();
    // A claim that is deleted refuses the plan itself.
    let asked = |loss: &&mut Loss| loss.holder != LossHolder::Claim;
    for loss in losses.iter_mut().filter(asked) {
        let name = loss.name.clone();
        checks.push(if loss.accepted {
            Check::pass(ID, name, "accepted with --accept-loss")
        } else if given.yes || terminal().is_none() {
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
pub fn consent(consent: &Consent, question: &str) -> Check {
    const ID: &str = "gate.consent";
    if consent.yes {
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
            let checks = subject("c", "prod", |subject| judge(&upstream, subject, false));
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
        let closed = subject("c", "prod", |subject| judge(&upstream, subject, false));
        assert!(
            !closed.overridden
                && closed
                    .checks
                    .iter()
                    .any(|c| c.id == "gate.backup" && c.status == Status::Unknown)
        );
        let open = subject("c", "prod", |subject| judge(&upstream, subject, true));
        assert!(
            open.overridden
                && open
                    .checks
                    .iter()
                    .all(|c| c.status == Status::Warn && c.message.starts_with("overridden: ")),
            "{open:?}"
        );
    }
}
