//! From when to when a certificate is valid.

use chaos_common::config::Span;
use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::Time;

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Validity {
    /// Reads a certificate (X.509, DER); `None` if it is none.
    pub(crate) fn of(der: &[u8]) -> Option<Validity> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = certificate.tbs_certificate.validity;
        let timestamp = |time: Time| {
            let seconds = i64::try_from(time.to_unix_duration().as_secs()).ok()?;
            Timestamp::from_second(seconds).ok()
        };
        Some(Validity {
            from: timestamp(validity.not_before)?,
            to: timestamp(validity.not_after)?,
        })
    }

    /// Whether it will still be valid for as long as is `wanted`. One that lives shortly by design
    /// is good until a tenth of its life is left.
    pub(crate) fn lasts(&self, now: Timestamp, wanted: Span) -> bool {
        let life = self.to.duration_since(self.from).as_secs_f64();
        self.to.duration_since(now).as_secs_f64() >= wanted.0.as_secs_f64().min(life / 10.0)
    }

    /// When it ends, for people: `until 2026-12-01 10:00:00 UTC (8 days)`.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let hours = self.to.duration_since(now).as_hours();
        let left = if hours.abs() < 72 {
            format!("{hours} hours")
        } else {
            format!("{} days", hours / 24)
        };
        format!(
            "until {} ({left})",
            self.to.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    fn stamp(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// Valid from a time in the form `UTCTime` to one in the form `GeneralizedTime`.
    const CERTIFICATE: &[u8] = b"\
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUb17gHICV2x00qYIoM4sDUy2gSqowCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBYTAgFw0yNjExMjkwMjE0NDdaGA8yMDU3MDExMDAyMTQ0N1ow
DDEKMAgGA1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHox4XzjNOyk
KFOeGcJu22BrzO5CGVOgfDDUxijOW/8fSBE0j4SJ4u+vVjiBWvw0E9GViXl2eZwg
l3jxkssNb4SjUzBRMB0GA1UdDgQWBBTq9m5ztUjql5OybxW2ZiYhtsCEWjAfBgNV
HSMEGDAWgBTq9m5ztUjql5OybxW2ZiYhtsCEWjAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCICXH3coHbw1UqwMZQVX73pUr3mocgi46Xw/ib3MouJkA
AiEAsHHUeTmQU6bkIOfljorvcMWUUZSI/UW0F1UJFaH4D5E=
-----END CERTIFICATE-----
";

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(CERTIFICATE).expect("a certificate")
    }

    #[test]
    fn validity_is_read_in_both_forms() {
        let wanted = Validity {
            from: stamp("2026-11-29T02:14:47Z"),
            to: stamp("2057-01-10T02:14:47Z"),
        };
        assert_eq!(Validity::of(&certificate()), Some(wanted));
    }

    #[test]
    fn what_is_cut_or_no_certificate_is_none() {
        let whole = certificate();
        for cut in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Validity::of(CERTIFICATE), None);
    }

    #[test]
    fn a_certificate_that_lives_shortly_by_design_is_good_until_its_last_tenth() {
        let year = Validity {
            from: stamp("2026-01-01T00:00:00Z"),
            to: stamp("2027-01-01T00:00:00Z"),
        };
        let fortnight = Span::seconds(14 * 86_400);
        assert!(year.lasts(stamp("2026-12-17T00:00:00Z"), fortnight));
        assert!(!year.lasts(stamp("2026-12-19T00:00:00Z"), fortnight));
        assert!(!year.lasts(stamp("2027-01-02T00:00:00Z"), fortnight));
        let hour = Validity {
            from: stamp("2026-01-01T00:00:00Z"),
            to: stamp("2026-01-01T01:00:00Z"),
        };
        assert!(hour.lasts(stamp("2026-01-01T00:50:00Z"), fortnight));
        assert!(!hour.lasts(stamp("2026-01-01T00:58:00Z"), fortnight));
    }
}
