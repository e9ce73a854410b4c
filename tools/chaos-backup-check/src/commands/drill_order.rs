//! `drill --all`: which backup comes first, and which are left for the next run.

use std::time::Duration;

use chaos_common::config::Backup;
use chaos_common::record::Time;

use crate::context::Context;
use crate::drill::tries::{self, Try};
use crate::item::evidence;

/// A backup, and when it was last tried to be restored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranked<'b> {
    pub(super) backup: &'b Backup,
    last: Option<Try>,
}

/// The one that was not tried for the longest time comes first, before it those that never were.
pub(super) fn in_order<'b>(backups: Vec<&'b Backup>, context: &Context) -> Vec<Ranked<'b>> {
    let folder = evidence::folder(&context.config).ok();
    let last = |backup: &Backup| {
        let (folder, name) = (folder.as_ref()?, &backup.name);
        let noted = tries::last(folder, &context.namespace, name);
        // Evidence may have come from elsewhere.
        let drills = evidence::read(folder, &context.namespace, name).unwrap_or_default();
        let proven = drills.iter().map(|drill| drill.time).max();
        latest(noted, proven)
    };
    let mut ranked: Vec<Ranked> = backups
        .into_iter()
        .map(|backup| Ranked {
            last: last(backup),
            backup,
        })
        .collect();
    ranked.sort_by_key(|ranked| ranked.last.map(|last| last.began));
    ranked
}

fn latest(noted: Option<Try>, proven: Option<Time>) -> Option<Try> {
    match (noted, proven) {
        (Some(noted), Some(proven)) if proven > noted.began => Some(Try {
            began: proven,
            ..noted
        }),
        (None, Some(began)) => Some(Try { began, took: None }),
        (noted, _) => noted,
    }
}

impl<'b> Ranked<'b> {
    /// In the order in which it is named.
    pub(super) fn unranked(backup: &'b Backup) -> Ranked<'b> {
        Ranked { backup, last: None }
    }

    /// Whether it is worth beginning with it when so much of the time is left. The first of a run
    /// always is: else what takes long would never be drilled.
    pub(super) fn fits(&self, left: Option<Duration>, first: bool) -> bool {
        let Some(left) = left else { return true };
        let took = self.last.and_then(|last| last.took).unwrap_or_default();
        !left.is_zero() && (first || took <= left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    #[test]
    fn what_does_not_fit_is_left_unless_it_is_the_first() {
        let backup = Backup::default();
        let took = |seconds| Ranked {
            backup: &backup,
            last: Some(Try {
                began: at("2026-11-22T16:00:00Z"),
                took: Some(Duration::from_secs(seconds)),
            }),
        };
        let minute = Some(Duration::from_secs(60));
        assert!(took(60).fits(minute, false) && took(1000).fits(None, false));
        assert!(!took(61).fits(minute, false) && took(61).fits(minute, true));
        assert!(!took(1).fits(Some(Duration::ZERO), true));
        let new = Ranked {
            backup: &backup,
            last: None,
        };
        assert!(new.fits(minute, false));
    }

    #[test]
    fn evidence_and_notes_count_together() {
        let (one, two) = (at("2026-11-20T00:00:00Z"), at("2026-11-21T00:00:00Z"));
        let noted = |began| {
            Some(Try {
                began,
                took: Some(Duration::from_secs(1)),
            })
        };
        let began = |noted, proven| latest(noted, proven).map(|last| last.began);
        assert_eq!(began(noted(one), Some(two)), Some(two));
        assert_eq!(began(noted(two), Some(one)), Some(two));
        assert_eq!(began(None, Some(one)), Some(one));
        assert_eq!(began(noted(one), None), Some(one));
        assert_eq!(began(None, None), None, "never, which sorts first");
    }
}
