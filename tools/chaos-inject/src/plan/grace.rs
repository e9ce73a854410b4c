//! How long pods may take to end, held against the time that an experiment gives them.

use std::time::Duration;

use chaos_common::record::{Check, Status};
use serde_json::Value;

/// What Kubernetes gives a pod that does not say, in seconds.
const DEFAULT: i64 = 30;

/// The time that the pods of a workload may take to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grace {
    /// The workload.
    pub workload: String,
    /// Their grace period, which a preStop hook is part of, in seconds.
    pub seconds: i64,
    /// They have a preStop hook.
    pub hook: bool,
}

impl Grace {
    /// Of pods with this spec.
    pub fn of(workload: &str, spec: &Value) -> Grace {
        let containers = spec["containers"].as_array().into_iter().flatten();
        let mut hooks = containers.map(|one| &one["lifecycle"]["preStop"]);
        Grace {
            workload: workload.to_owned(),
            seconds: spec["terminationGracePeriodSeconds"]
                .as_i64()
                .unwrap_or(DEFAULT),
            hook: hooks.any(|hook| !hook.is_null()),
        }
    }

    /// `limit.grace`: a warning where the pods may take longer than the experiment waits for them.
    pub fn check(&self, limit: Duration) -> Option<Check> {
        let longest = Duration::from_secs(u64::try_from(self.seconds).unwrap_or(0));
        if longest <= limit {
            return None;
        }
        let hook = if self.hook { " and preStop" } else { "" };
        let message = format!(
            "its pods may take up to {} s to end (terminationGracePeriodSeconds{hook}), and the \
             experiment waits {} s: if one takes longer, no effect or no recovery is seen",
            self.seconds,
            limit.as_secs()
        );
        let check = Check::new("limit.grace", self.workload.as_str(), Status::Warn, message);
        Some(check.hint("raise stop_limit and recovery_limit of the experiment above it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_that_may_take_longer_than_they_are_waited_for_are_a_warning() {
        let hook = json!({ "lifecycle": { "preStop": { "sleep": { "seconds": 100 } } } });
        let spec = json!({ "terminationGracePeriodSeconds": 300, "containers": [hook] });
        let grace = Grace::of("deployment/db", &spec);
        let told = grace.check(Duration::from_secs(120)).expect("told");
        assert!(told.message.contains("up to 300 s") && told.message.contains("preStop"));
        assert_eq!(grace.check(Duration::from_secs(300)), None);
        let usual = Grace::of("deployment/db", &json!({}));
        assert_eq!(usual.check(Duration::from_secs(60)), None);
        assert!(usual.check(Duration::from_secs(10)).is_some());
    }
}
