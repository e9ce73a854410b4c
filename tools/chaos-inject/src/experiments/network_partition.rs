//! Network partition: a NetworkPolicy that allows nothing cuts a workload's pods off. That it is in
//! the cluster proves nothing; traffic from a peer pod does, beside a control route that stays
//! open.

use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::config::{self, AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::Plan;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicySpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::experiments::support::allowance::Traffic;
use crate::experiments::support::connectivity::{self, ConnectivityProof};
use crate::experiments::support::network_policy::{
    self, Other, Policy, RunningPolicy, Surroundings,
};
use crate::experiments::support::origin::{self, Asking};
use crate::experiments::support::peer::Routes;
use crate::experiments::support::probe_pod::ProbeCommand;
use crate::experiments::support::steady_state::SteadyState;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::plan::{Draft, Origin};
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "network-partition";

/// `[experiment.network_partition]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload that is cut off, as `deployment/NAME`, when no flag names one.
    pub workload: Option<String>,
    /// A workload that calls it, as `deployment/NAME`. The traffic that proves the partition starts
    /// in one of its pods, which needs curl 7.84 or later; else in a probe pod in its place
    /// (`experiment.probe_image`).
    pub peer: Option<String>,
    /// A configured Service that the peer can reach all the time, to tell a partition from a peer
    /// that is cut off itself. The first one with a health path that the partition does not touch
    /// if left out.
    pub control: Option<String>,
    /// How long it lasts.
    pub duration: Span,
    /// Longest time from its end until all is at its steady state again.
    pub recovery_limit: Span,
    /// Further Services that are expected to suffer, besides those of the workload itself. One path
    /// of a Service is `SERVICE/PATH`; a URL may stand here, too.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workload: None,
            peer: None,
            control: None,
            duration: Span::seconds(30),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct NetworkPartition {
    settings: Settings,
    workload: String,
    peer: String,
}

impl NetworkPartition {
    /// The Service that leads to the workload, and one that does not, with their paths and the
    /// statuses that they are to answer with.
    fn routes(
        &self,
        context: &Context,
        services: &[String],
    ) -> anyhow::Result<[(Endpoint, String, Option<u16>); 2]> {
        let configured = || {
            context
                .config
                .services
                .iter()
                .filter(|service| service.health.is_some())
        };
        let with_path = |service: &config::Service| {
            (
                Endpoint::of_service(service, &context.namespace),
                service.health.clone().unwrap_or_default(),
                service.expect.status,
            )
        };
        let target = configured()
            .find(|service| services.contains(&service.name))
            .map(with_path)
            .with_context(|| {
                format!(
                    "no configured service with a health path leads to {}: nothing could be asked",
                    self.workload
                )
            })?;
        let control = match &self.settings.control {
            Some(name) => configured().find(|service| &service.name == name),
            None => configured().find(|service| !services.contains(&service.name)),
        };
        let control = control.map(with_path).context(
            "no configured service with a health path can serve as control route \
             (experiment.network_partition.control)",
        )?;
        if services.contains(&control.0.service) {
            bail!(
                "service {} leads to {} itself, so it is no control",
                control.0.service,
                self.workload
            );
        }
        Ok([target, control])
    }

    /// What is asked in the peer, for at most so long: along the route, and along the control route.
    fn commands(
        &self,
        context: &Context,
        services: &[String],
        most: Duration,
    ) -> anyhow::Result<[ProbeCommand; 2]> {
        let asking = |(endpoint, path, status): (Endpoint, String, Option<u16>)| {
            ProbeCommand::kept(&endpoint.url(&path), most).expecting(status)
        };
        Ok(self.routes(context, services)?.map(asking))
    }

    /// The traffic that proves the partition, where it can be told.
    async fn traffic(&self, context: &Context, target: &Workload) -> Option<Traffic> {
        let mut services = context.config.services.iter();
        let leads = |service: &&config::Service| {
            service.health.is_some() && target.services.contains(&service.name)
        };
        let service = services.find(leads)?;
        let traffic = Traffic::between(context, &self.peer, (service, target)).await;
        traffic.ok()
    }

    /// Who asks, and what that takes.
    async fn origin(
        &self,
        context: &Context,
        target: &Workload,
        (others, most): (&[NetworkPolicy], Duration),
    ) -> anyhow::Result<Origin> {
        let commands = self.commands(context, &target.services, most)?;
        let peer = Workload::read(context, &context.namespace, &self.peer).await?;
        let asking = Asking {
            experiment: NAME,
            workload: &peer,
            trial: &["curl", "--rate", "1/s", "--version"],
            commands,
            most,
            labels: origin::labels_for_policies(&peer, others),
        };
        Ok(origin::choose(context, &asking).await)
    }
}

/// Whether a policy lets its pods reach everything.
fn lets_all_out(policy: &NetworkPolicySpec) -> bool {
    let is_open = |rule: &NetworkPolicyEgressRule| {
        let to = rule.to.as_deref().unwrap_or_default();
        let ports = rule.ports.as_deref().unwrap_or_default();
        to.is_empty() && ports.is_empty()
    };
    policy.egress.iter().flatten().any(is_open)
}

/// What a policy does whose rules do not reach the route.
const BESIDE: &str = "goes on allowing these pods traffic, though none along the route that is asked: \
                      the partition is not whole";

/// The policy that allows nothing to or from its pods.
const DENY_ALL: Policy = Policy {
    experiment: NAME,
    rules: |_| json!({ "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [] }),
    in_the_way: |other, route| {
        let comes_in = other.ingress.iter().flatten().next().is_some();
        let goes_out = other.egress.iter().flatten().next().is_some();
        // Where the route is not known, every rule may reach it.
        let reached = match route {
            None => comes_in || goes_out,
            Some(route) => route.is_allowed_by(other) || lets_all_out(other),
        };
        if reached {
            Other::InTheWay
        } else if comes_in || goes_out {
            Other::Beside(BESIDE)
        } else {
            Other::Nothing
        }
    },
    why: "allows traffic of these pods, which a policy that denies does not take away",
    hint: "choose a workload that no policy allows anything: policies only add up",
    clear: "no other policy allows these pods anything",
};

impl Definition for NetworkPartition {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Cut a workload's pods off from the network";
    const FLAGS: &'static [Flag] = &[Flag::Workload, Flag::MaxShare, Flag::SetAside];
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let workload = selection
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .ok_or_else(|| {
                Failure::usage("nothing names the workload to cut off").hint(
                    "give --workload, or set experiment.network_partition.workload in chaos.toml",
                )
            })?;
        let peer = settings.peer.clone().ok_or_else(|| {
            Failure::usage("nothing names a peer, and only traffic from a peer proves a partition")
                .hint("set experiment.network_partition.peer in chaos.toml to a workload that calls the one to cut off")
        })?;
        Ok(NetworkPartition {
            settings,
            workload,
            peer,
        })
    }
}

#[async_trait(?Send)]
impl Experiment for NetworkPartition {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let traffic = self.traffic(context, &target).await;
        let others = network_policy::list(context).await;
        let around = Surroundings {
            target: &target,
            traffic: traffic.as_ref(),
            others: &others,
        };
        let mut draft = Draft {
            affected: [target.services.clone(), self.settings.affected.clone()].concat(),
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            alerts: self.settings.alerts.clone(),
            ..DENY_ALL.draft(context, around).await
        };
        let most = connectivity::at_most(context, &draft);
        let others = others.unwrap_or_default();
        let origin = self.origin(context, &target, (&others, most)).await;
        draft.add_origin(origin);
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        // A partition is what databases have to live with; nothing is written or taken away.
        Ok(false)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let steady = SteadyState::watch(context, plan, std::slice::from_ref(&target)).await?;
        let most = connectivity::longest(context, plan);
        let [route, control] = self.commands(context, &target.services, most)?;
        let peer = workload::parse(&self.peer)?.name().to_owned();
        let (peers, from) = origin::peers(context, plan, &peer).await?;
        let routes = Routes::ask(peers, route, control);
        Ok(Box::new(RunningPolicy {
            name: NAME,
            proof: ConnectivityProof::start(&from, routes).await?,
            steady,
            recovery_limit: self.settings.recovery_limit.0,
            cuts_established: true,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::support::network_policy::tests::judged;
    use chaos_common::record::Status;

    #[test]
    fn a_policy_that_allows_the_pods_anything_defeats_a_partition() {
        let judged = |other: &str| judged(&DENY_ALL, other);
        assert_eq!(
            judged("{spec: {podSelector: {matchLabels: {app: shop}}, ingress: [{}]}}"),
            Status::Fail
        );
        assert_eq!(
            judged("{spec: {podSelector: {}, egress: [{ports: [{port: 53}]}]}}"),
            Status::Fail
        );
        assert_eq!(
            judged("{spec: {podSelector: {matchLabels: {app: other}}, ingress: [{}]}}"),
            Status::Pass
        );
        assert_eq!(
            judged("{spec: {podSelector: {}, policyTypes: [Ingress]}}"),
            Status::Pass,
            "it denies as well"
        );
    }
}
