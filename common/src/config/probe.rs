//! `[[probe]]`: the steady state in the user's own terms.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use super::{Condition, Expectation, Misfit, Span};

/// `[[probe]]`: a question whose answer tells whether the system is at its steady state.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Probe {
    /// What it is called in checks and reports.
    pub name: String,
    /// What is asked.
    pub question: Question,
    /// The part of a JSON answer that `is` looks at.
    pub value: Option<String>,
    /// What the value must be.
    pub is: Option<Condition>,
    /// Whether it must hold before an experiment: `chaos-health` asks.
    pub before: bool,
    /// What becomes of it during the fault; not asked then if `None`.
    pub during: Option<During>,
    /// Whether it must hold after an experiment: `chaos-verify` asks.
    pub after: bool,
    /// Time between two questions during the fault.
    pub interval: Span,
    /// Time that an answer may take.
    pub timeout: Span,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// A PromQL query of the configured Prometheus; every series must meet the condition.
    Prometheus(String),
    /// A GET of an absolute URL, or of `SERVICE/PATH` for a Service of `[[service]]`.
    Http {
        /// The URL, or `SERVICE/PATH`.
        url: String,
        /// What the answer must be.
        expect: Expectation,
        /// Certificates that are trusted instead of the system's.
        ca: Option<PathBuf>,
    },
    /// One statement on `[database]`, in a transaction that can't write; the first column of its
    /// first row.
    Sql(String),
    /// A program with its arguments; no shell. It must exit with 0.
    Command(Vec<String>),
}

/// What becomes of a probe while the fault is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum During {
    /// It holds all the time: when it does not, the experiment is aborted and undone.
    MustHold,
    /// It is watched and not judged.
    MayFail,
    /// It fails: this is how the fault shows.
    MustFail,
}

/// As it stands in the file: one of the four questions.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What it is called in checks and reports.
    name: String,
    /// A PromQL query of `[monitoring.prometheus]`: every series of its answer must meet `is`.
    #[serde(default)]
    prometheus: Option<String>,
    /// An address that must answer, `https://…`, or `SERVICE/PATH` for a Service of `[[service]]`.
    #[serde(default)]
    url: Option<String>,
    /// One statement on `[database]`, which can't write: the first column of its first row must
    /// meet `is`.
    #[serde(default)]
    sql: Option<String>,
    /// A program and its arguments, without a shell: it must exit with 0.
    #[serde(default)]
    command: Option<Vec<String>>,
    /// What the answer of `url` must be.
    #[serde(default)]
    expect: Expectation,
    /// File with the certificates that are trusted for `url` instead of the system's, in PEM.
    #[serde(default)]
    ca: Option<PathBuf>,
    /// The part of a JSON answer of `url` or `command` that `is` looks at, as JSON pointer
    /// (RFC 6901): `/orders/0/state`.
    #[serde(default)]
    value: Option<String>,
    /// What the value must be: `>= 3`, `< 0.5`, `== ready`.
    #[serde(default)]
    is: Option<Condition>,
    /// It must hold before an experiment: `chaos-health` asks.
    #[serde(default = "yes")]
    before: bool,
    /// `must-hold` (or the experiment is aborted), `may-fail` or `must-fail`; not asked during the
    /// fault if left out.
    #[serde(default)]
    during: Option<During>,
    /// It must hold after an experiment: `chaos-verify` asks.
    #[serde(default = "yes")]
    after: bool,
    /// Time between two questions during the fault.
    #[serde(default = "five_seconds")]
    interval: Span,
    /// Time that an answer may take.
    #[serde(default = "five_seconds")]
    timeout: Span,
}

impl JsonSchema for Probe {
    fn schema_name() -> Cow<'static, str> {
        "Probe".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

fn yes() -> bool {
    true
}

fn five_seconds() -> Span {
    Span::seconds(5)
}

impl TryFrom<Written> for Probe {
    type Error = Misfit;
    fn try_from(written: Written) -> Result<Probe, Misfit> {
        let name = written.name.clone();
        let wrong = move |why| Misfit::new(format!("the probe {name:?} {why}"));
        let (expect, ca) = (written.expect, written.ca);
        let questions = [
            written.prometheus.map(Question::Prometheus),
            written.url.map(|url| Question::Http { url, expect, ca }),
            written.sql.map(Question::Sql),
            written.command.map(Question::Command),
        ];
        let mut questions = questions.into_iter().flatten();
        let (Some(question), None) = (questions.next(), questions.next()) else {
            return Err(wrong("needs one of prometheus, url, sql and command"));
        };
        match &question {
            Question::Prometheus(_) | Question::Sql(_) if written.is.is_none() => {
                return Err(wrong("needs is: what the value must be, such as \">= 1\""));
            }
            Question::Prometheus(_) | Question::Sql(_) if written.value.is_some() => {
                return Err(wrong("can't have value: its answer is no JSON"));
            }
            Question::Command(argv) if argv.is_empty() => {
                return Err(wrong("has a command without a program"));
            }
            _ => {}
        }
        if written.value.is_some() && written.is.is_none() {
            return Err(wrong("needs is: what its value must be, such as \">= 1\""));
        }
        if written.interval.0.is_zero() || written.timeout.0.is_zero() {
            return Err(wrong("needs an interval and a timeout that are not zero"));
        }
        Ok(Probe {
            name: written.name,
            question,
            value: written.value,
            is: written.is,
            before: written.before,
            during: written.during,
            after: written.after,
            interval: written.interval,
            timeout: written.timeout,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(toml: &str) -> Result<Probe, String> {
        toml::from_str(&format!("name = 'orders'\n{toml}"))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_probe_asks_one_question_that_can_be_answered() {
        let good = probe("sql = 'select 1'\nis = '>= 1'\nduring = 'must-hold'").expect("good");
        assert!(good.before && good.after);
        assert_eq!(good.during, Some(During::MustHold));
        assert!(probe("url = 'shop/health'").is_ok());
        assert!(probe("command = ['true']").is_ok());
        let refused = |toml: &str| probe(toml).expect_err("refused");
        let one = "the probe \"orders\" needs one of prometheus, url, sql and command";
        assert_eq!(refused(""), one);
        assert_eq!(refused("url = 'a/b'\ncommand = ['true']"), one);
        assert!(refused("prometheus = 'up'").contains("needs is"));
        assert!(refused("url = 'a/b'\nvalue = '/x'").contains("needs is"));
        assert!(refused("sql = 'x'\nis = '== 1'\nvalue = '/x'").contains("no JSON"));
        assert!(refused("command = []").contains("without a program"));
        assert!(refused("url = 'a/b'\ninterval = '0s'").contains("not zero"));
        assert!(refused("url = 'a/b'\nsince = '0s'").contains("unknown field `since`"));
    }
}
