//! What a check is about, by the words of its id, which are part of the contract.

use chaos_common::record::Check;

/// It is about the monitoring systems.
pub(crate) fn is_about_monitoring(check: &Check) -> bool {
    check.id.split('.').any(|part| part == "monitoring")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_what_a_check_is_about() {
        let about = |id: &str| is_about_monitoring(&Check::pass(id, "", ""));
        assert!(about("monitoring.alertmanager"));
        assert!(about("recovery.monitoring.prometheus"));
        assert!(!about("alert.fired"));
    }
}
