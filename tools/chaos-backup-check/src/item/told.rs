//! What a tool's account of its backups is worth.

use chaos_common::record::Check;

use super::criteria::Criteria;
use super::freshness::{self, Age, FRESH};
use crate::adapters::Account;
use crate::source::PRESENT;

/// Id of the check that says what was not proven.
const PROVEN: &str = "backup.proven";

/// Its checks, and its age where the tool tells it.
pub(super) fn judge(account: &Account, criteria: &Criteria) -> (Vec<Check>, Option<Age>) {
    let object = &criteria.object;
    let fresh = account
        .made
        .map(|made| freshness::judge_told(criteria.now, made, &criteria.due));
    let mut checks = vec![Check::pass(PRESENT, object, &account.present)];
    checks.push(match &fresh {
        Some(fresh) => fresh.check(object),
        None => Check::unknown(FRESH, object, "its tool does not say when it was made"),
    });
    checks.extend(account.findings.iter().map(|finding| {
        let check = Check::new(finding.id, object, finding.status, &finding.message);
        match finding.hint {
            Some(hint) => check.hint(hint),
            None => check,
        }
    }));
    if !account.unproven.is_empty() {
        let message = format!("not proven: {}", account.unproven.join("; "));
        checks.push(Check::skipped(PROVEN, object, message));
    }
    (checks, fresh.map(|fresh| fresh.age))
}
