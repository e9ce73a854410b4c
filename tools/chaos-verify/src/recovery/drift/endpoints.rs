//! Have Services as many ready endpoints as they had?

use chaos_common::record::{Check, Health, ServiceState, Status};
use chaos_health::checks;

/// `recovery.endpoints`: have Services as many ready endpoints as they had? `removed` is how many
/// pods autoscalers have taken away meanwhile.
pub(super) fn compare(before: &Health, now: &Health, removed: usize) -> Vec<Check> {
    const ID: &str = "recovery.endpoints";
    if before.state.services.is_empty() {
        return Vec::new();
    }
    let blind = now
        .checks
        .iter()
        .find(|check| check.id == checks::SERVICE_ENDPOINTS.id && check.status == Status::Unknown);
    let mut found = Vec::new();
    let mut same = 0;
    for was in &before.state.services {
        let object = format!("service/{}", was.name);
        let same_one =
            |is: &&ServiceState| (&is.namespace, &is.name) == (&was.namespace, &was.name);
        let Some(is) = now.state.services.iter().find(same_one) else {
            found.push(match blind {
                Some(check) => {
                    Check::unknown(ID, object, format!("not seen now: {}", check.message))
                }
                None => Check::fail(
                    ID,
                    object,
                    format!("is gone; it had {} ready endpoints before", was.ready),
                ),
            });
            continue;
        };
        let counts = format!("{} ready endpoints, {} before", is.ready, was.ready);
        if is.ready < was.ready
            && was.ready - is.ready <= removed
            && is.not_ready <= was.not_ready
            && is.ready > 0
        {
            let message = format!("{counts}; an autoscaler has taken {removed} pods away");
            found.push(Check::new(ID, object, Status::Warn, message));
        } else if is.ready < was.ready {
            found.push(Check::fail(ID, object, counts));
        } else if is.not_ready > was.not_ready {
            let message = format!(
                "{counts}; {} are not ready, {} were not before",
                is.not_ready, was.not_ready
            );
            found.push(Check::new(ID, object, Status::Warn, message));
        } else if is.ready > was.ready {
            found.push(Check::pass(ID, object, counts));
        } else {
            same += 1;
        }
    }
    if same > 0 {
        let of = before.state.services.len();
        found.insert(
            0,
            Check::pass(
                ID,
                "",
                format!("{same} of {of} Services have the endpoints that they had"),
            ),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline_input::tests::health;
    use chaos_common::record::SystemState;

    fn service(ready: usize, not_ready: usize) -> Health {
        let service = ServiceState {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            ready,
            not_ready,
        };
        Health {
            state: SystemState {
                services: vec![service],
                ..SystemState::default()
            },
            ..health()
        }
    }

    #[test]
    fn a_service_with_fewer_ready_endpoints_or_gone_fails() {
        let of = |now: &Health| {
            compare(&service(2, 0), now, 0)
                .iter()
                .map(|check| check.status)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(&service(2, 0)), [Status::Pass]);
        assert_eq!(of(&service(3, 0)), [Status::Pass]);
        assert_eq!(of(&service(1, 0)), [Status::Fail]);
        assert_eq!(of(&service(2, 1)), [Status::Warn]);
        assert_eq!(of(&health()), [Status::Fail]);
        let blind = Health {
            checks: vec![Check::unknown(
                checks::SERVICE_ENDPOINTS.id,
                "namespace/shop",
                "403",
            )],
            ..health()
        };
        assert_eq!(of(&blind), [Status::Unknown]);
    }

    #[test]
    fn endpoints_of_pods_that_an_autoscaler_took_away_are_worth_a_look() {
        let of = |ready, not_ready, removed| {
            compare(&service(5, 0), &service(ready, not_ready), removed)[0].status
        };
        assert_eq!(of(3, 0, 2), Status::Warn);
        assert_eq!(of(2, 0, 2), Status::Fail, "more are gone");
        assert_eq!(of(3, 1, 2), Status::Fail, "one is not ready");
        assert_eq!(of(0, 0, 5), Status::Fail, "nobody is left");
    }
}
