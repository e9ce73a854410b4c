//! The link that acknowledges a message: `BASE/EVENT/WHOM/TOKEN`.
//!
//! The token is the HMAC of run, event and whom the link was sent to, by a key that only the user
//! of these tools has. So it can't be guessed, acknowledges this message and no other, and is the
//! same in every repetition of the message, without being kept anywhere.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::rand::GetRandomFlags;
use sha2::Sha256;

/// The length of a key and the part of the HMAC that stands in a link, in bytes.
const KEY: usize = 32;
const TOKEN: usize = 16;

/// What links are made with.
#[derive(Clone)]
pub(crate) struct Key([u8; KEY]);

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// The message's id.
    pub(crate) event: String,
    /// Whom it was sent to: 0 for all, else so many a contact.
    pub(crate) whom: usize,
    token: Vec<u8>,
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub(crate) fn random() -> std::io::Result<Key> {
        let mut key = [0; KEY];
        let mut filled = 0;
        while filled < KEY {
            filled += rustix::rand::getrandom(&mut key[filled..], GetRandomFlags::empty())?;
        }
        Ok(Key(key))
    }

    /// As it is kept in a file.
    pub(crate) fn to_text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// What a file holds; nothing where that is no key.
    pub(crate) fn from_text(text: &str) -> Option<Key> {
        let bytes = HEXLOWER.decode(text.trim().as_bytes()).ok()?;
        Some(Key(bytes.try_into().ok()?))
    }

    /// The link under this URL that acknowledges a message of a run.
    pub(crate) fn link(&self, base: &str, run: &str, event: &str, whom: usize) -> String {
        let digest = self.mac(run, event, whom).finalize().into_bytes();
        let token = HEXLOWER.encode(&digest[..TOKEN]);
        format!("{}/{event}/{whom}/{token}", base.trim_end_matches('/'))
    }

    /// Whether a link is one of these, for a message of this run. In constant time.
    pub(crate) fn made(&self, link: &Link, run: &str) -> bool {
        let mac = self.mac(run, &link.event, link.whom);
        link.token.len() == TOKEN && mac.verify_truncated_left(&link.token).is_ok()
    }

    fn mac(&self, run: &str, event: &str, whom: usize) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        for part in [run, event, &whom.to_string()] {
            mac.update(&part.len().to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

impl Link {
    /// The link of a path: its last three parts, wherever a proxy puts them.
    pub(crate) fn of(path: &str) -> Option<Link> {
        let mut parts = path.rsplit('/');
        let token = HEXLOWER.decode(parts.next()?.as_bytes()).ok()?;
        let whom = parts.next()?.parse().ok()?;
        let event = parts.next().filter(|event| !event.is_empty())?;
        Some(Link {
            event: event.to_owned(),
            whom,
            token,
        })
    }
}

/// The token of a link, which must not be shown.
pub(crate) fn token(link: &str) -> &str {
    link.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(key: &Key, path: &str, run: &str) -> bool {
        Link::of(path).is_some_and(|link| key.made(&link, run))
    }

    #[test]
    fn a_link_is_good_for_its_run_event_and_reader_alone() {
        let key = Key::random().expect("random bytes");
        let url = key.link("https://ops.example.com/ack/", "r-1", "e-1", 2);
        let path = url.strip_prefix("https://ops.example.com").expect("it");
        assert!(path.starts_with("/ack/e-1/2/"), "{path}");
        assert!(made(&key, path, "r-1"));
        assert!(made(&key, path.trim_start_matches("/ack"), "r-1"));
        assert!(!made(&key, path, "r-2"));
        assert!(!made(&key, &path.replace("e-1", "e-2"), "r-1"));
        assert!(!made(&key, &path.replace("/2/", "/1/"), "r-1"));
        assert!(!made(&Key::random().expect("random bytes"), path, "r-1"));
        let token = token(path);
        for short in ["", &token[..2], &token[..30]] {
            assert!(!made(&key, &format!("/e-1/2/{short}"), "r-1"), "{short}");
        }
        assert!(!made(&key, "/favicon.ico", "r-1"));
    }

    #[test]
    fn a_key_is_kept_as_text() {
        let key = Key::random().expect("random bytes");
        let kept = Key::from_text(&format!("{}\n", key.to_text())).expect("a key");
        assert_eq!(kept.0, key.0);
        assert!(Key::from_text("abc").is_none());
        assert!(Key::from_text(&"0".repeat(62)).is_none());
    }
}
