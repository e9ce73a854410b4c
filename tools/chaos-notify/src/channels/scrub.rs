//! Secrets, taken out of what others say: an answer may repeat what was sent.

/// Stands for a secret.
const MASK: &str = "***";

/// The shortest text that is taken for one: a shorter one would blot out words.
const SHORTEST: usize = 6;

/// A part of a path that is lower case letters alone is a word, if it is not longer.
const LONGEST_WORD: usize = 15;

/// The secrets of a channel.
#[derive(Clone, Default)]
pub(crate) struct Scrub {
    secrets: Vec<String>,
}

impl Scrub {
    /// These secrets. Of a URL, also its path and query alone, and each part of it.
    pub(crate) fn of(secrets: impl IntoIterator<Item = String>) -> Scrub {
        let mut all = Vec::new();
        for secret in secrets {
            if let Ok(url) = reqwest::Url::parse(&secret) {
                all.extend(url.password().map(str::to_owned));
                all.push(url.path().to_owned());
                all.extend(url.query().map(str::to_owned));
                let parts = url.path().split('/').filter(|part| !is_word(part));
                all.extend(parts.map(str::to_owned));
                all.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
            }
            all.push(secret);
        }
        all.retain(|secret| secret.len() >= SHORTEST);
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Scrub { secrets: all }
    }

    /// A text without them.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), MASK);
        }
        text
    }
}

/// Whether a part of a path is a word such as `services`, and no secret.
fn is_word(part: &str) -> bool {
    let plain = part.chars().all(|c| c.is_ascii_lowercase());
    plain && part.len() <= LONGEST_WORD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_is_left() {
        let url = "https://hooks.example/services/T0/hunter2-a?sig=hunter3-b";
        let scrub = Scrub::of([url.to_owned(), "hunter4-c".to_owned(), "ok".to_owned()]);
        let said = format!("no hook {url}; hunter2-a; hunter3-b; hunter4-c; services ok");
        let clean = scrub.clean(&said);
        assert!(!clean.contains("hunter"), "{clean}");
        assert!(clean.ends_with("; services ok"), "{clean}");
    }
}
