//! What a check is about, by the words of its id, which are part of the contract.

use chaos_common::record::Check;

/// It says whether the experiment was allowed to run, and nothing of the system: a gate was open, a
/// limit was kept.
pub(crate) fn is_condition(check: &Check) -> bool {
    let first = check.id.split('.').next();
    matches!(first, Some("limit" | "gate" | "intent"))
}

/// It is about alerts that should fire.
pub(crate) fn is_about_alerts(check: &Check) -> bool {
    let mut words = check.id.split(['.', '-', '_']);
    words.any(|word| word == "alert" || word == "alerts")
}

/// It is about the monitoring systems.
pub(crate) fn is_about_monitoring(check: &Check) -> bool {
    check.id.split('.').any(|part| part == "monitoring")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_tell_what_a_check_is_about() {
        let about = |id: &str| {
            let check = Check::pass(id, "", "");
            (
                is_condition(&check),
                is_about_alerts(&check),
                is_about_monitoring(&check),
            )
        };
        assert_eq!(about("gate.health"), (true, false, false));
        assert_eq!(about("data.limit"), (false, false, false));
        assert_eq!(about("alert.fired"), (false, true, false));
        assert_eq!(about("monitoring.alertmanager"), (false, false, true));
        assert_eq!(
            about("recovery.monitoring.prometheus"),
            (false, false, true)
        );
    }
}
