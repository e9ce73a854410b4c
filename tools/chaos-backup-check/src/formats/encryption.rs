//! Encrypted files, which are recognised and not read.

use std::fmt;

/// What encrypted a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// age, as bytes or as text (`age -a`).
    Age,
    /// An OpenPGP message (RFC 9580), as gpg writes it, as bytes or as text (`gpg -a`).
    OpenPgp,
    /// `openssl enc` with a salt, as bytes or as text (`-a`).
    OpenSsl,
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encryption::Age => "age",
            Encryption::OpenPgp => "OpenPGP (gpg)",
            Encryption::OpenSsl => "openssl enc",
        })
    }
}

impl Encryption {
    /// By a file's first bytes.
    pub fn of(start: &[u8]) -> Option<Encryption> {
        let marks: [(&[u8], _); 5] = [
            (b"age-encryption.org/", Encryption::Age),
            (b"-----BEGIN AGE ENCRYPTED FILE-----", Encryption::Age),
            (b"-----BEGIN PGP MESSAGE-----", Encryption::OpenPgp),
            (b"Salted__", Encryption::OpenSsl),
            // The same in base64.
            (b"U2FsdGVkX1", Encryption::OpenSsl),
        ];
        let marked = marks.iter().find(|(mark, _)| start.starts_with(mark));
        marked
            .map(|(_, encryption)| *encryption)
            .or_else(|| is_openpgp(start).then_some(Encryption::OpenPgp))
    }
}

/// Whether an encrypted message begins here: a packet with a session key, for somebody's key or for
/// a passphrase (RFC 9580, sections 4.2, 5.1 and 5.3).
fn is_openpgp(start: &[u8]) -> bool {
    let Some((first, rest)) = start.split_first() else {
        return false;
    };
    // The length of the packet: of the old form in one, two or four bytes, of the new in one or two.
    let (tag, body) = match (first, rest) {
        (0x80..=0xbf, _) => {
            let bytes = [1, 2, 4].get(usize::from(first & 3));
            (first >> 2 & 15, bytes.and_then(|bytes| rest.get(*bytes..)))
        }
        (0xc0.., [0..=191, body @ ..] | [192..=223, _, body @ ..]) => (first & 63, Some(body)),
        _ => return false,
    };
    match (tag, body) {
        // The version, whose key, and an algorithm of those.
        (1, Some([3, key @ ..])) => key
            .get(8)
            .is_some_and(|algorithm| matches!(algorithm, 1 | 2 | 16 | 18 | 25 | 26)),
        // The version, the cipher, and how the key comes of the passphrase.
        (3, Some([4, 1..=13, 0 | 1 | 3 | 4, ..] | [5, ..])) | (1 | 3, Some([6, ..])) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encrypted_files_are_known_by_their_first_bytes() {
        let with_key = b"\x85\x01\x0c\x03\x11\x22\x33\x44\x55\x66\x77\x88\x01\x08\x00";
        let elliptic = b"\x84\x5e\x03\x11\x22\x33\x44\x55\x66\x77\x88\x12\x01\x07\x40";
        let with_passphrase = b"\x8c\x0d\x04\x09\x03\x02\x11\x22\x33\x44\x55\x66\x77\x88";
        let sequoia = b"\xc3\x1e\x06\x1a\x07\x02\x0b\x03\x08";
        for (start, encryption) in [
            (
                &b"age-encryption.org/v1\n-> X25519 abc"[..],
                Encryption::Age,
            ),
            (b"-----BEGIN AGE ENCRYPTED FILE-----\n", Encryption::Age),
            (b"-----BEGIN PGP MESSAGE-----\n\n", Encryption::OpenPgp),
            (with_key, Encryption::OpenPgp),
            (elliptic, Encryption::OpenPgp),
            (with_passphrase, Encryption::OpenPgp),
            (sequoia, Encryption::OpenPgp),
            (
                b"Salted__\x01\x02\x03\x04\x05\x06\x07\x08",
                Encryption::OpenSsl,
            ),
            (
                b"U2FsdGVkX1+vupppZksvRf5pq5g5XjFRlipRkwB0K1Y=\n",
                Encryption::OpenSsl,
            ),
        ] {
            assert_eq!(Encryption::of(start), Some(encryption), "{start:?}");
        }
    }

    #[test]
    fn other_files_are_not_taken_for_encrypted() {
        for start in [
            &b"PGDMP\x01\x0e\0"[..],
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            b"\x28\xb5\x2f\xfd\x04\x58",
            b"\x04\x22\x4d\x18\x64\x40",
            b"\xfd7zXZ\0\0\x04",
            b"BZh91AY&SY",
            b"\xef\xbb\xbf--\n-- PostgreSQL database dump",
            b"\xff\xfe-\0-\0\n\0",
            b"apiVersion: v1\n",
            b"",
            b"\x85",
            // A packet of the right kind with another version is none.
            b"\x85\x01\x0c\x09\x11\x22\x33\x44\x55\x66\x77\x88\x01",
            b"\x8c\x0d\x04\x63\x03\x02",
        ] {
            assert_eq!(Encryption::of(start), None, "{start:?}");
        }
    }
}
