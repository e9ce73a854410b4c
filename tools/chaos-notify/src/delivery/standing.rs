//! Where a message stands on one channel: for each recipient, or for the service as a whole.

use chaos_common::record::{ChannelOutcome, RecipientResult};

use super::{Answer, Fate};

/// Where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Nobody by name, for a service that takes a message as a whole: then there is one entry.
    recipients: Vec<Recipient>,
    by_name: bool,
    receipt: Option<String>,
}

#[derive(Clone, Debug)]
struct Recipient {
    name: String,
    /// The latest answer; nothing before the first try.
    answer: Option<(Fate, String)>,
}

impl Standing {
    /// Nothing was tried yet.
    pub(crate) fn new(recipients: &[String]) -> Standing {
        let fresh = |name: &str| Recipient {
            name: name.to_owned(),
            answer: None,
        };
        Standing {
            by_name: !recipients.is_empty(),
            recipients: match recipients {
                [] => vec![fresh("")],
                some => some.iter().map(|name| fresh(name)).collect(),
            },
            receipt: None,
        }
    }

    /// Takes in what a try came to. What is settled for a recipient stays settled.
    pub(crate) fn learn(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            for recipient in &mut self.recipients {
                let is_meant = answer.to.as_ref().is_none_or(|to| *to == recipient.name);
                if is_meant && recipient.is_open() {
                    recipient.answer = Some((answer.fate, answer.words.clone()));
                }
            }
            if answer.receipt.is_some() {
                self.receipt = answer.receipt;
            }
        }
    }

    /// Who has not got it, and may yet.
    pub(crate) fn pending(&self) -> Vec<String> {
        let open = self
            .recipients
            .iter()
            .filter(|r| r.is_open() && self.by_name);
        open.map(|r| r.name.clone()).collect()
    }

    /// Whether another try is due for anybody.
    pub(crate) fn is_open(&self) -> bool {
        self.recipients.iter().any(Recipient::is_open)
    }

    /// The answers that ask for another try.
    pub(super) fn open_answers(&self) -> impl Iterator<Item = Fate> {
        let answers = self.recipients.iter().filter_map(|r| r.answer.as_ref());
        answers.map(|(fate, _)| *fate).filter(|fate| fate.is_open())
    }

    /// What became of it, all in all.
    pub(crate) fn outcome(&self) -> ChannelOutcome {
        let mut outcomes: Vec<ChannelOutcome> =
            self.recipients.iter().map(Recipient::outcome).collect();
        outcomes.dedup();
        match outcomes[..] {
            [one] => one,
            _ if outcomes.contains(&ChannelOutcome::Unknown) => ChannelOutcome::Unknown,
            _ => ChannelOutcome::Partly,
        }
    }

    /// The answers in words: one where all are the same.
    pub(crate) fn detail(&self) -> String {
        let words = |recipient: &Recipient| match &recipient.answer {
            Some((_, words)) => words.clone(),
            None => "it was not tried".to_owned(),
        };
        let first = self.recipients.first().map(words).unwrap_or_default();
        if self.recipients.iter().all(|r| words(r) == first) {
            return first;
        }
        let each = self.recipients.iter();
        let each: Vec<String> = each.map(|r| format!("{}: {}", r.name, words(r))).collect();
        each.join("; ")
    }

    /// The other side's id for the message.
    pub(crate) fn receipt(&self) -> Option<String> {
        self.receipt.clone()
    }

    /// What became of it for each, where they are known by name.
    pub(crate) fn results(&self) -> Vec<RecipientResult> {
        if !self.by_name {
            return Vec::new();
        }
        let result = |recipient: &Recipient| RecipientResult {
            to: recipient.name.clone(),
            outcome: recipient.outcome(),
            detail: recipient
                .answer
                .clone()
                .map(|(_, words)| words)
                .unwrap_or_default(),
        };
        self.recipients.iter().map(result).collect()
    }
}

impl Recipient {
    fn is_open(&self) -> bool {
        self.answer.as_ref().is_none_or(|(fate, _)| fate.is_open())
    }

    fn outcome(&self) -> ChannelOutcome {
        let answer = self.answer.as_ref();
        answer.map_or(ChannelOutcome::Failed, |(fate, _)| fate.outcome())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(names: &[&str]) -> Standing {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Standing::new(&names)
    }

    #[test]
    fn one_refused_of_three_is_partly_and_named() {
        let mut it = standing(&["a", "b", "c"]);
        assert_eq!(it.outcome(), ChannelOutcome::Failed);
        let taken = Answer::delivered("250 ok");
        let refused = Answer::refused("550 no such user").to("b");
        it.learn(vec![taken.to("a"), refused, taken.to("c")]);
        assert_eq!(it.outcome(), ChannelOutcome::Partly);
        assert_eq!(it.detail(), "a: 250 ok; b: 550 no such user; c: 250 ok");
        assert!(!it.is_open());
    }

    #[test]
    fn whoever_was_put_off_stays_and_the_others_are_settled() {
        let mut it = standing(&["a", "b"]);
        let (taken, off) = (Answer::delivered("250 ok"), Answer::later("450 later"));
        it.learn(vec![taken.to("a"), off.to("b")]);
        assert_eq!(it.pending(), ["b"]);
        it.learn(vec![Answer::unknown("broke")]);
        assert_eq!(it.outcome(), ChannelOutcome::Unknown);
        assert_eq!(it.results()[0].outcome, ChannelOutcome::Sent);
        assert_eq!(it.results()[1].detail, "broke");
    }

    #[test]
    fn a_service_is_one_whole() {
        let mut it = standing(&[]);
        it.learn(vec![Answer::delivered("ok").receipt(Some("7".into()))]);
        assert_eq!(it.outcome(), ChannelOutcome::Sent);
        assert_eq!((it.results(), it.receipt().as_deref()), (vec![], Some("7")));
        assert!(it.pending().is_empty() && !it.is_open());
    }
}
