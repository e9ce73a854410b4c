//! What was not well before and is now?

use chaos_common::record::{Check, Health, Status};

use crate::recovery::names::some;

/// `recovery.better`: what was not well before and is now. The experiment may have hidden it, or
/// healed it; either way the system is not what it was.
pub(super) fn compare(before: &Health, now: &Health) -> Option<Check> {
    const ID: &str = "recovery.better";
    let bad = |check: &&Check| matches!(check.status, Status::Fail | Status::Unknown);
    let mut well = Vec::new();
    for was in before.checks.iter().filter(bad) {
        let of_id = now.checks.iter().filter(|is| is.id == was.id);
        let is = of_id.clone().find(|is| is.object == was.object);
        let good = |check: &Check| matches!(check.status, Status::Pass | Status::Warn);
        // What is in trouble is named and what is well is counted, so nothing may be said of it any
        // more. Checks of other namespaces are not made again, nor are those that are left out.
        let silent =
            before.also.is_empty() && of_id.clone().any(good) && !of_id.clone().any(|is| bad(&is));
        let healed = match is {
            Some(is) => good(is),
            None => silent,
        };
        if healed {
            let object = was
                .object
                .as_deref()
                .map(|object| format!(" {object}"))
                .unwrap_or_default();
            well.push(format!(
                "{}{object} (before: {}: {})",
                was.id,
                was.status.word(),
                was.message
            ));
        }
    }
    (!well.is_empty())
        .then(|| Check::pass(ID, "", format!("well now and not before: {}", some(&well))))
}

#[cfg(test)]
mod tests {
    use super::super::testing::seen;
    use super::*;
    use chaos_common::record::{ClusterRef, NamespaceState, SystemState};

    #[test]
    fn what_became_better_is_told_and_what_was_not_looked_at_is_not() {
        let before = seen(
            &[],
            &[
                Check::fail("pods.ready", "pod/a", "crash loop"),
                Check::fail("nodes.usage", "node/n", "95 %"),
            ],
        );
        let well = [
            Check::pass("pods.ready", "namespace/shop", "9 of 9"),
            Check::pass("nodes.usage", "node/n", "50 %"),
        ];
        let told = compare(&before, &seen(&[], &well))
            .expect("two are better")
            .message;
        assert!(
            told.contains("pods.ready pod/a (before: fail: crash loop), nodes.usage node/n"),
            "{told}"
        );
        let unseen = [
            Check::unknown("pods.ready", "namespace/shop", "403"),
            Check::fail("nodes.usage", "node/n", "96 %"),
        ];
        assert_eq!(compare(&before, &seen(&[], &unseen)), None);
        assert_eq!(compare(&before, &seen(&[], &[])), None);
        let left_out = ["pods.ready", "nodes.usage"];
        let left_out = left_out.map(|id| Check::skipped(id, "", "left out"));
        assert_eq!(compare(&before, &seen(&[], &left_out)), None);
        // The one before looked at another namespace as well, which this one does not.
        let place = NamespaceState {
            cluster: ClusterRef {
                id: "a".to_owned(),
                context: None,
                server: String::new(),
            },
            namespace: "other".to_owned(),
            state: SystemState::default(),
        };
        let elsewhere = Check::fail("pods.ready", "pod/a (namespace other)", "crash loop");
        let before = Health {
            also: vec![place],
            ..seen(&[], &[elsewhere])
        };
        assert_eq!(compare(&before, &seen(&[], &well[..1])), None);
    }
}
