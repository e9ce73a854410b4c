//! What is watched through every experiment, whatever its fault: what callers of the Services see,
//! which alerts fire, and whether somebody elsewhere wants the run to stop.

pub mod abort_requests;
pub mod alerts;
pub mod availability;
pub mod contenders;
pub mod found;
pub mod pod_events;
pub mod pod_watch;
pub mod probes;
pub mod questions;
pub mod recovery;

use chaos_common::cluster::probe::Endpoint;
use chaos_common::cluster::rights::{to_ask, to_query};
use chaos_common::config::Question as Asked;
use chaos_common::prometheus::AlertScope;
use chaos_common::record::{AlertSeen, Check, Permission, Plan};
use chaos_common::steady_state::Surroundings;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use tokio::time::{Instant, timeout_at};

use crate::abort::AbortSignal;
use crate::context::Context;
use crate::observe::alerts::{Observer, Wanted};
use crate::observe::availability::Probe;
use crate::observe::availability::guard::Guard;
use crate::observe::probes::FaultSpan;
use crate::observe::questions::Question;
use crate::safety::intent::Intent;

/// What runs beside an experiment.
#[derive(Debug)]
pub struct Observers {
    probes: Vec<Probe>,
    /// What is said of that which can't be asked.
    unasked: Vec<Check>,
    alerts: Option<Observer>,
    steady_state: Vec<probes::Watch>,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Observations {
    /// Of each path that was asked.
    pub services: Vec<availability::ServiceObservation>,
    /// What is said of those that could not be.
    pub unasked: Vec<Check>,
    /// The alerts, for the record.
    pub alerts: Vec<AlertSeen>,
    /// What to say of them.
    pub alert_checks: Vec<Check>,
    /// What the probes of the steady state found.
    pub probe_checks: Vec<Check>,
}

impl Observations {
    /// For the end of a summary: that nobody knows what callers saw, where that is so.
    pub fn not_measured(&self) -> &'static str {
        if self
            .services
            .iter()
            .any(|one| one.availability.requests > 0)
        {
            ""
        } else {
            "; availability was not measured"
        }
    }
}

/// The Services that are asked.
fn asked(context: &Context) -> impl Iterator<Item = Endpoint> {
    let services = context.config.services.iter().filter(|service| {
        service.health.is_some() || !service.data.is_empty() || !service.timed.is_empty()
    });
    services.map(|service| Endpoint::of_service(service, &context.namespace))
}

/// Id of the checks of an experiment's availability.
pub fn available(experiment: &str) -> String {
    format!("{experiment}.available")
}

/// What watching needs.
pub fn permissions(context: &Context) -> Vec<Permission> {
    let mut needed: Vec<Permission> = asked(context)
        .flat_map(|endpoint| to_ask(&context.asker, &endpoint))
        .collect();
    if let Some(config) = &context.config.monitoring {
        let systems = [&config.prometheus, &config.alertmanager]
            .into_iter()
            .flatten();
        needed.extend(
            systems.flat_map(|system| {
                to_ask(&context.asker, &Endpoint::of_monitoring(config, system))
            }),
        );
    }
    // Services and Prometheus are asked as above.
    let mut probes = context.config.probes.iter();
    let asks_database = probes.any(|probe| matches!(probe.question, Asked::Sql(_)));
    let database = context.config.database.as_ref().filter(|_| asks_database);
    needed.extend(
        database
            .into_iter()
            .flat_map(|one| to_query(&context.namespace, one)),
    );
    needed
}

impl Observers {
    /// Starts to watch. What the plan does not expect to suffer is guarded: `alarm` is raised when
    /// it does. `blind` leaves the alerts out, for a fault that takes monitoring away.
    pub async fn start(
        context: &Context,
        plan: &Plan,
        intent: &Intent,
        (alarm, blind): (&AbortSignal, bool),
    ) -> Observers {
        let settings = &context.config.experiment;
        let id = available(&plan.experiment);
        let (mut questions, mut unasked) = questions::configured(context, plan, &id);
        let (found, said) = found::questions(context, plan, &id).await;
        questions.extend(found);
        unasked.extend(said);
        let probe = |question: Question| {
            let guard = Guard {
                alarm: alarm.clone(),
                percent: settings.guard_percent,
                window: settings.guard_window.0,
            };
            let guard = (!question.affected).then_some(guard);
            Probe::start(question, settings.probe_timeout.0, guard)
        };
        for (namespace, name) in &intent.leases {
            let api: Api<Lease> = Api::namespaced(context.cluster.client.clone(), namespace);
            tokio::spawn(abort_requests::listen(api, name.clone(), alarm.clone()));
        }
        let (steady_state, not_now) = probes::start(
            &Surroundings::new(&context.asker, &context.namespace, &context.config),
            &context.config.probes,
            (&probes::id(&plan.experiment), blind),
            alarm,
        );
        unasked.extend(not_now);
        let monitoring = context.config.monitoring.as_ref().filter(|_| !blind);
        let targets = plan.targets.iter().map(|target| target.namespace.as_str());
        let scope = AlertScope::of(&context.config, &context.namespace).and(targets);
        let wanted = Wanted::new(&plan.alerts, scope);
        Observers {
            probes: questions.into_iter().map(probe).collect(),
            unasked,
            alerts: Observer::start(&context.asker, monitoring, wanted),
            steady_state,
        }
    }

    /// Waits until the expected alerts have fired, or the moment has come.
    pub async fn alerts(&mut self, expected: &[String], injected: Instant, until: Instant) {
        if let (Some(alerts), false) = (&mut self.alerts, expected.is_empty()) {
            // ProbeError is judged later.
            let _ = timeout_at(until, alerts.fired(expected, injected)).await;
        }
    }

    /// Watches no more, and gives what was seen. Without a fault nothing is said of alerts.
    pub async fn stop(self, plan: &Plan, fault: Option<FaultSpan>) -> Observations {
        let injected = fault.map(|fault| fault.began);
        let mut seen = Observations {
            unasked: self.unasked,
            ..Observations::default()
        };
        for probe in self.probes {
            let mut one = probe.stop().await;
            if let Some(injected) = injected {
                one.count_from(injected);
            }
            seen.services.push(one);
        }
        for watch in self.steady_state {
            let watched = watch.stop().await;
            let id = probes::id(&plan.experiment);
            let check = fault.map(|fault| watched.judge(&id, fault));
            seen.probe_checks.extend(check);
        }
        let id = format!("{}.alerts", plan.experiment);
        match (self.alerts, injected) {
            (Some(observer), Some(injected)) => {
                let what = observer.stop().await;
                seen.alerts = what.alerts(&plan.alerts, injected);
                seen.alert_checks = alerts::judge(
                    &id,
                    &seen.alerts,
                    what.blind_since(injected),
                    what.unheard(),
                );
            }
            (None, Some(_)) if plan.alerts.is_empty() => {
                seen.alert_checks = vec![Check::skipped(
                    &id,
                    "",
                    "no alerts are watched in this experiment",
                )];
            }
            (None, Some(_)) => {
                let why = "no Prometheus is configured, so the expected alerts can't be seen";
                seen.alert_checks = vec![Check::unknown(&id, "", why)];
            }
            (_, None) => {}
        }
        seen
    }
}
