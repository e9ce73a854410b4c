//! What is at the bottom of an error, by its type and not by its text.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// The first error of a type in a chain of causes, those inside I/O errors among them.
pub fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error gives its own error's source as its source, and so steps over that error.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Why a certificate keeps two sides from speaking with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateProblem {
    /// It has expired: theirs, or ours as they say.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is of another name.
    Name,
    /// Nobody who is trusted signed it.
    Issuer,
    /// Something else is wrong with it.
    Other,
}

impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            CertificateProblem::Expired => "its certificate has expired",
            CertificateProblem::NotYetValid => {
                "its certificate is not valid yet; are the clocks right?"
            }
            CertificateProblem::Name => "its certificate is of another name",
            CertificateProblem::Issuer => {
                "its certificate is not trusted here: it signs itself, or an authority of your own \
                 signed it; name that certificate's file as ca"
            }
            CertificateProblem::Other => "its certificate can't be used",
        })
    }
}

/// What is wrong with a certificate, if that is why a call failed.
pub fn certificate_problem(error: &(dyn Error + 'static)) -> Option<CertificateProblem> {
    use CertificateError as Bad;
    match cause::<rustls::Error>(error)? {
        rustls::Error::InvalidCertificate(bad) => Some(match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => CertificateProblem::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => CertificateProblem::NotYetValid,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => CertificateProblem::Name,
            Bad::UnknownIssuer => CertificateProblem::Issuer,
            // webpki's own words for a certificate that signs itself without being an authority.
            Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                CertificateProblem::Issuer
            }
            _ => CertificateProblem::Other,
        }),
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            Some(CertificateProblem::Expired)
        }
        rustls::Error::NoCertificatesPresented => Some(CertificateProblem::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error as hyper passes it on: in an I/O error, in an error of its own.
    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] io::Error);

    fn outer(error: rustls::Error) -> Outer {
        Outer(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn a_certificate_is_found_at_the_bottom_of_a_chain() {
        let of = |bad| certificate_problem(&outer(rustls::Error::InvalidCertificate(bad)));
        let expired = Some(CertificateProblem::Expired);
        assert_eq!(of(CertificateError::Expired), expired);
        let issuer = Some(CertificateProblem::Issuer);
        assert_eq!(of(CertificateError::UnknownIssuer), issuer);
        let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
        assert_eq!(certificate_problem(&outer(alert)), expired);
    }

    #[test]
    fn what_only_speaks_of_certificates_is_no_problem_of_theirs() {
        let words = io::Error::other("the token has expired; get a certificate");
        assert_eq!(certificate_problem(&words), None);
        let closed = outer(rustls::Error::HandshakeNotComplete);
        assert_eq!(certificate_problem(&closed), None);
    }
}
