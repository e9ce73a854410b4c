//! What must be true before an experiment may start: records of this run from upstream, and the
//! word of a person.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};

use chaos_common::config::Limits;
use chaos_common::record::{
    Backup, BackupAction, Check, ClusterRef, Data, Health, Loss, LossHolder, Overridden, Record,
    Status, Time, Verdict,
};
use chaos_common::stream::{RecordError, Upstream};

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
    /// The run that is to be made: records of another one open nothing.
    pub run: &'a str,
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
    let of_health = latest::<Health>(upstream, subject.run);
    let cluster = of_health
        .as_ref()
        .ok()
        .map(|record| record.data.cluster.clone());
    checks.push(health(of_health, subject));
    checks.push(if subject.data_at_stake {
        backup(latest(upstream, subject.run), cluster.as_ref(), subject)
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

/// Why no record opens a gate.
#[derive(Debug, thiserror::Error)]
enum NoRecord {
    /// There is none.
    #[error("the stream holds no {0} record")]
    Missing(String),
    /// The latest is of another run, such as one of yesterday that was put in front.
    #[error("the {kind} record is of run {found}, not of this one ({run})")]
    OtherRun {
        kind: String,
        found: String,
        run: String,
    },
    /// It can't be read.
    #[error(transparent)]
    Unreadable(#[from] RecordError),
}

impl NoRecord {
    fn check(&self, id: &str) -> Check {
        match self {
            NoRecord::OtherRun { .. } => Check::fail(id, "", self.to_string()),
            NoRecord::Missing(_) | NoRecord::Unreadable(_) => {
                Check::unknown(id, "", self.to_string())
            }
        }
    }
}

/// The latest record of a kind, which has to be of this run.
fn latest<D: Data>(upstream: &Upstream, run: &str) -> Result<Record<D>, NoRecord> {
    let kind = || D::KIND.name().to_owned();
    match upstream.latest::<D>()? {
        None => Err(NoRecord::Missing(kind())),
        Some(record) if record.run != run => Err(NoRecord::OtherRun {
            kind: kind(),
            found: record.run,
            run: run.to_owned(),
        }),
        Some(record) => Ok(record),
    }
}

fn health(
    record: Result<Record<Health>, NoRecord>,
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
        Err(why) => why.check(ID),
        Ok(record) if record.data.cluster.id != cluster.id => Check::fail(
            ID,
            "",
            format!(
                "the health record is of another cluster ({}), not of {}",
                record.data.cluster.server, cluster.server
            ),
        ),
        Ok(record) if record.data.namespace != namespace => {
            of_another_namespace::<Health>(ID, (&record.data.namespace, namespace))
        }
        Ok(record) => passing(ID, &record, limits, now),
    };
    check.hint("run chaos-health | chaos-inject …, or give --override gate.health=\"REASON\"")
}

/// A backup record does not say of which cluster it is. The health record of its run does.
fn backup(
    record: Result<Record<Backup>, NoRecord>,
    looked_at: Option<&ClusterRef>,
    Subject {
        cluster,
        namespace,
        limits,
        now,
        ..
    }: Subject<'_>,
) -> Check {
    const ID: &str = "gate.backup";
    let check = match record {
        Err(NoRecord::Missing(kind)) => {
            let message = format!("data is at stake, and the stream holds no {kind} record");
            Check::unknown(ID, "", message)
        }
        Err(why) => why.check(ID),
        Ok(_) if looked_at.is_some_and(|other| other.id != cluster.id) => {
            let message = "the stream is of another cluster, by its health record";
            Check::fail(ID, "", message)
        }
        Ok(record) if record.data.namespace != namespace => {
            of_another_namespace::<Backup>(ID, (&record.data.namespace, namespace))
        }
        Ok(record) if record.data.action != BackupAction::Check => Check::unknown(
            ID,
            "",
            "the latest backup record is not of a check: backups were made, or restored for a drill",
        ),
        Ok(record) => passing(ID, &record, limits, now),
    };
    check.hint(
        "run chaos-health | chaos-backup-check | chaos-inject …, or give --override \
         gate.backup=\"REASON\"",
    )
}

/// A record of a kind that is of another namespace than the wanted one.
fn of_another_namespace<D: Data>(id: &str, (found, wanted): (&str, &str)) -> Check {
    let kind = D::KIND.name();
    let message = format!("the {kind} record is of namespace {found}, not of {wanted}");
    Check::fail(id, "", message)
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
mod tests;
