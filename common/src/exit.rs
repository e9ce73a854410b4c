//! Exit statuses, the same in all six tools.

use std::process::ExitCode;

use crate::record::{Outcome, Verdict};

/// How a tool ends. The number is what the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: pass.
    Pass = 0,
    /// 1: it looked, and the answer is no.
    Fail = 1,
    /// 2: usage or configuration; nothing was done.
    Usage = 2,
    /// 3: it could not tell.
    Unknown = 3,
    /// 4: a gate, a limit or a lock stopped it; nothing was touched.
    Refused = 4,
    /// 5: a fault may still be in place; a person is needed.
    NotRestored = 5,
    /// 6: aborted on request or by a guard; everything is restored.
    Aborted = 6,
}

impl Exit {
    /// How bad it is: 5, 1, 3, 6, 4, 0 from worst to best. Usage errors are not outcomes of a run
    /// and never meet another one; they count as worst but one.
    fn severity(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Refused => 1,
            Exit::Aborted => 2,
            Exit::Unknown => 3,
            Exit::Fail => 4,
            Exit::Usage => 5,
            Exit::NotRestored => 6,
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        if other.severity() > self.severity() {
            other
        } else {
            self
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Pass => Exit::Pass,
            Verdict::Fail => Exit::Fail,
            Verdict::Unknown => Exit::Unknown,
        }
    }
}

impl Outcome {
    /// The exit status that this outcome demands whatever the verdict; `None` leaves it to that.
    pub fn exit(self) -> Option<Exit> {
        match self {
            Outcome::Completed => None,
            Outcome::Refused => Some(Exit::Refused),
            Outcome::Aborted => Some(Exit::Aborted),
            Outcome::NotRestored => Some(Exit::NotRestored),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a tool could not do its work: what, which, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the tool ends.
    pub exit: Exit,
    /// What went wrong with which thing.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// Bad usage or configuration: nothing was done.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Usage,
            message: message.into(),
            hint: None,
        }
    }

    /// It could not tell.
    pub fn unknown(message: impl Into<String>) -> Failure {
        Failure {
            exit: Exit::Unknown,
            message: message.into(),
            hint: None,
        }
    }

    /// The same failure with a next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn worst_follows_the_published_order() {
        let order = [
            Exit::NotRestored,
            Exit::Fail,
            Exit::Unknown,
            Exit::Aborted,
            Exit::Refused,
            Exit::Pass,
        ];
        for (i, worse) in order.iter().enumerate() {
            for better in &order[i..] {
                assert_eq!(worse.worst(*better), *worse);
                assert_eq!(better.worst(*worse), *worse);
            }
        }
    }
}
