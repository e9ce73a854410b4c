//! Why something in a cluster could not be read or reached, as a type that callers decide on.

use std::fmt::Display;

use super::cause::{CertificateProblem, certificate_problem};
use crate::exit::{Exit, Failure};
use crate::record::Check;
use crate::retry::Again;

const EXPIRED: &str = "a certificate has expired; look at its dates with \
    openssl x509 -noout -dates, and at this machine's clock";
const NOT_TRUSTED: &str = "the API server's certificate is not trusted; compare \
    certificate-authority in the kubeconfig with the cluster's";
const LOGIN_FAILED: &str = "the kubeconfig's way to log in failed; try kubectl auth whoami";
const UNREACHABLE: &str = "is the API server up and the kubeconfig's address right? \
    try kubectl cluster-info";

/// Why something could not be read or reached.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub struct ReadError {
    /// The attempt, as a verb with its object: `list pods in namespace shop`.
    pub what: String,
    /// What sort of failure, for a caller who decides.
    pub kind: ReadErrorKind,
    why: String,
    hint: Option<String>,
    again: Again,
}

/// Sorts of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// No usable kubeconfig or context.
    Access,
    /// No connection to the API server.
    Unreachable,
    /// The API server does not accept who we are.
    Unauthorized,
    /// We may not do this.
    Forbidden,
    /// There is no such object.
    NotFound,
    /// What was asked for was kept for some time only.
    Gone,
    /// No answer in time.
    Timeout,
    /// Anything else that the API server said.
    Other,
}

impl ReadError {
    pub(super) fn new(
        what: impl Display,
        kind: ReadErrorKind,
        why: impl Into<String>,
    ) -> ReadError {
        ReadError {
            what: what.to_string(),
            kind,
            why: why.into(),
            hint: None,
            again: Again::Never,
        }
    }

    /// No answer in time.
    pub fn timeout(what: impl Display, why: impl Into<String>) -> ReadError {
        ReadError::new(what, ReadErrorKind::Timeout, why)
    }

    /// A failure of no particular sort.
    pub fn other(what: impl Display, why: impl Into<String>) -> ReadError {
        ReadError::new(what, ReadErrorKind::Other, why)
    }

    /// The same failure with a next step for a person.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> ReadError {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the same attempt may succeed when it is made again.
    pub fn again(&self) -> Again {
        self.again
    }

    /// The same failure, which may pass.
    #[must_use]
    pub(super) fn passing(mut self, again: Again) -> ReadError {
        self.again = again;
        self
    }

    /// The next step for a person, where there is one.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The check `id` on `object` that could not be made because of this.
    pub fn check(&self, id: &str, object: impl Into<String>) -> Check {
        let mut check = Check::unknown(id, object, self.to_string());
        check.hint.clone_from(&self.hint);
        check
    }

    /// The end of a tool that can't go on without a way to the cluster: bad usage.
    pub fn usage(self) -> Failure {
        Failure {
            exit: Exit::Usage,
            message: self.to_string(),
            hint: self.hint,
        }
    }

    /// What a failed call means. `what` is the attempt.
    pub fn from_kube(what: impl Display, error: &kube::Error) -> ReadError {
        ReadError::said(what, error).passing(super::again(error))
    }

    fn said(what: impl Display, error: &kube::Error) -> ReadError {
        use ReadErrorKind as Kind;
        if let kube::Error::Api(status) = error {
            let said = if status.message.is_empty() {
                &status.reason
            } else {
                &status.message
            };
            let kind = match status.code {
                401 => Kind::Unauthorized,
                403 => Kind::Forbidden,
                404 => Kind::NotFound,
                410 => Kind::Gone,
                408 | 504 => Kind::Timeout,
                _ => Kind::Other,
            };
            let failed = ReadError::new(
                what,
                kind,
                format!("the API server says {}: {said}", status.code),
            );
            return match kind {
                Kind::Unauthorized => failed.hint(
                    "the credentials are not accepted: a client certificate or token may have expired; try kubectl auth whoami",
                ),
                Kind::Forbidden => failed.hint("ask for the permission, and test it with kubectl auth can-i"),
                _ => failed,
            };
        }
        let chain = error_chain(error);
        let (kind, hint) = match (certificate_problem(error), error) {
            (Some(CertificateProblem::Expired), _) => (Kind::Unreachable, EXPIRED),
            (Some(_), _) => (Kind::Unreachable, NOT_TRUSTED),
            (None, kube::Error::Auth(_)) => (Kind::Unauthorized, LOGIN_FAILED),
            (None, kube::Error::Service(_) | kube::Error::HyperError(_)) => {
                (Kind::Unreachable, UNREACHABLE)
            }
            _ => return ReadError::new(&what, Kind::Other, chain),
        };
        ReadError::new(&what, kind, chain).hint(hint)
    }
}

/// An error and its causes, each once.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
