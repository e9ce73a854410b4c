//! From when to when a certificate is valid.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use chaos_common::config::Span;

/// The time in which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Validity {
    /// Reads a certificate (X.509, DER); `None` if it is none.
    pub(crate) fn of(der: &[u8]) -> Option<Validity> {
        let certificate = expect(&mut &*der, SEQUENCE)?;
        let mut body = expect(&mut &*certificate, SEQUENCE)?;
        // The version, which may be left out, then serial number, algorithm, issuer.
        let (mut tag, _) = element(&mut body)?;
        if tag == VERSION {
            (tag, _) = element(&mut body)?;
        }
        if tag != INTEGER {
            return None;
        }
        expect(&mut body, SEQUENCE)?;
        expect(&mut body, SEQUENCE)?;
        let mut validity = expect(&mut body, SEQUENCE)?;
        Some(Validity {
            from: time(&mut validity)?,
            to: time(&mut validity)?,
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

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Takes an element from the front: its tag and contents.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, after) = rest.split_first()?;
    let (&first, mut after) = after.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, behind) = after.split_at_checked(usize::from(first & 0x7f))?;
        if digits.len() > 4 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        after = behind;
    }
    let (contents, behind) = after.split_at_checked(length)?;
    *rest = behind;
    Some((tag, contents))
}

fn expect<'a>(rest: &mut &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    element(rest).and_then(|(tag, contents)| (tag == wanted).then_some(contents))
}

fn time(rest: &mut &[u8]) -> Option<Timestamp> {
    let (tag, text) = element(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: 50 to 99 are of the last century (RFC 5280).
        UTC_TIME if text.get(..2)? >= "50" => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    time.to_zoned(TimeZone::UTC)
        .ok()
        .map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    /// A certificate as far as it is read.
    fn certificate(version: bool, from: &[u8], to: &[u8]) -> Vec<u8> {
        fn field(tag: u8, contents: &[u8]) -> Vec<u8> {
            let mut field = vec![tag, 0x82, 0, 0];
            field[2..]
                .copy_from_slice(&u16::try_from(contents.len()).expect("short").to_be_bytes());
            field.extend(contents);
            field
        }
        let tag = |text: &[u8]| {
            if text.len() == 13 {
                UTC_TIME
            } else {
                GENERALIZED_TIME
            }
        };
        let mut body = if version {
            field(VERSION, &[2, 1, 2])
        } else {
            Vec::new()
        };
        body.extend(field(INTEGER, &[7; 20]));
        body.extend(field(SEQUENCE, &[6, 1, 1]));
        body.extend(field(SEQUENCE, &[0; 300]));
        body.extend(field(
            SEQUENCE,
            &[field(tag(from), from), field(tag(to), to)].concat(),
        ));
        body.extend(field(SEQUENCE, b"subject and key"));
        field(SEQUENCE, &field(SEQUENCE, &body))
    }

    #[test]
    fn validity_is_read_in_both_forms() {
        let read = Validity::of(&certificate(true, b"251122100000Z", b"20561122100000Z"));
        let wanted = Validity {
            from: stamp("2025-11-22T10:00:00Z"),
            to: stamp("2056-11-22T10:00:00Z"),
        };
        assert_eq!(read, Some(wanted));
        assert!(Validity::of(&certificate(false, b"990101000000Z", b"490101000000Z")).is_some());
    }

    #[test]
    fn what_is_cut_or_no_certificate_is_none() {
        let whole = certificate(true, b"251122100000Z", b"261122100000Z");
        for cut in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(Validity::of(b"-----BEGIN CERTIFICATE-----"), None);
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
