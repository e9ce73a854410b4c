//! DNS failure: a NetworkPolicy that lets a workload's pods reach everything but name servers.
//! Names have to fail in one of these pods while the same Service, asked by its address, goes on
//! answering.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::config::{AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::Plan;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::Api;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::experiments::support::connectivity::{self, ConnectivityProof};
use crate::experiments::support::names::{self, Egress};
use crate::experiments::support::network_policy::{
    self, Other, Policy, RunningPolicy, Surroundings,
};
use crate::experiments::support::origin::{self, Asking};
use crate::experiments::support::peer::Routes;
use crate::experiments::support::probe_pod::ProbeCommand;
use crate::experiments::support::steady_state::SteadyState;
use crate::permissions::need_one;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::plan::{Draft, Origin};
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "dns-failure";

/// `[experiment.dns_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload whose pods find no names, as `deployment/NAME`, when no flag names one. The
    /// proof is made in one of its pods, which needs `sh` and `curl`; else in a probe pod with the
    /// same labels (`experiment.probe_image`).
    pub workload: Option<String>,
    /// A configured Service with a health path, which is asked by its name and by its address; the
    /// first one if left out.
    pub service: Option<String>,
    /// How long it lasts.
    pub duration: Span,
    /// Longest time from its end until all is at its steady state again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer, single paths of them (`SERVICE/PATH`), URLs.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workload: None,
            service: None,
            duration: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct DnsFailure {
    settings: Settings,
    workload: String,
}

impl DnsFailure {
    /// The Service whose name is looked up, with the path that is asked and the status that it is
    /// to answer with.
    fn asked(&self, context: &Context) -> anyhow::Result<(Endpoint, String, Option<u16>)> {
        let mut configured = context
            .config
            .services
            .iter()
            .filter(|service| service.health.is_some());
        let found = match &self.settings.service {
            Some(name) => configured.find(|service| &service.name == name),
            None => configured.next(),
        };
        found
            .map(|service| {
                (
                    Endpoint::of_service(service, &context.namespace),
                    service.health.clone().unwrap_or_default(),
                    service.expect.status,
                )
            })
            .context("no configured service with a health path can be asked by its name")
    }

    /// What is asked, for at most so long: a Service by its name, and by its address.
    async fn commands(
        &self,
        context: &Context,
        most: Duration,
    ) -> anyhow::Result<[ProbeCommand; 2]> {
        let (asked, path, status) = self.asked(context)?;
        let address = cluster_ip(context, &asked).await?;
        let url = asked.url(&path);
        let asking = |address| ProbeCommand::anew(&url, address, most).expecting(status);
        Ok([asking(None), asking(Some(address.as_str()))])
    }

    /// Who asks, and what that takes.
    async fn origin(
        &self,
        context: &Context,
        target: &Workload,
        (others, most): (&[NetworkPolicy], Duration),
    ) -> anyhow::Result<Origin> {
        let commands = self.commands(context, most).await?;
        let asking = Asking {
            experiment: NAME,
            workload: target,
            trial: &["sh", "-c", "curl --version && date +%s"],
            commands,
            most,
            labels: origin::labels_of_target(target, others),
        };
        let mut origin = origin::choose(context, &asking).await;
        let (asked, ..) = self.asked(context)?;
        let (namespace, service) = (&asked.namespace, &asked.service);
        let permission = need_one(namespace, "get", "", "services", service);
        origin.permissions.push(permission);
        Ok(origin)
    }
}

/// The policy that allows its pods everything but name servers. Beside one that restricts what they
/// may reach it would allow them more than they have now.
const NO_NAMES: Policy = Policy {
    experiment: NAME,
    rules: names::rules,
    in_the_way: |other, _| match names::of(other) {
        Egress::Free => Other::Nothing,
        Egress::WithNames => Other::InTheWay,
        Egress::WithoutNames => Other::Forestalls(
            "says what these pods may reach, and none lets them reach a name server: they find no \
             names already, and a policy of ours could only allow them more",
        ),
    },
    why: "lets these pods reach name servers, which a second policy does not take away",
    hint: "choose a workload whose egress no policy governs",
    clear: "no other policy governs what these pods reach",
};

impl Definition for DnsFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Let a workload's pods find no names";
    const FLAGS: &'static [Flag] = &[Flag::Workload, Flag::MaxShare, Flag::SetAside];
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let workload = selection
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .ok_or_else(|| {
                Failure::usage("nothing names the workload whose pods shall find no names")
                    .hint("give --workload, or set experiment.dns_failure.workload in chaos.toml")
            })?;
        Ok(DnsFailure { settings, workload })
    }
}

#[async_trait(?Send)]
impl Experiment for DnsFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let others = network_policy::list(context).await;
        let around = Surroundings {
            target: &target,
            traffic: None,
            others: &others,
        };
        let mut draft = Draft {
            affected: self.settings.affected.clone(),
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            alerts: self.settings.alerts.clone(),
            ..NO_NAMES.draft(context, around).await
        };
        let most = connectivity::at_most(context, &draft);
        let others = others.unwrap_or_default();
        let origin = self.origin(context, &target, (&others, most)).await;
        draft.add_origin(origin);
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
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
        let [by_name, by_address] = self.commands(context, most).await?;
        let target = workload::parse(&self.workload)?.name().to_owned();
        let (pods, from) = origin::peers(context, plan, &target).await?;
        let routes = Routes::ask(pods, by_name, by_address);
        Ok(Box::new(RunningPolicy {
            name: NAME,
            proof: ConnectivityProof::start(&from, routes).await?,
            steady,
            recovery_limit: self.settings.recovery_limit.0,
            cuts_established: false,
        }))
    }
}

/// The address of a Service, by which it is asked without its name.
async fn cluster_ip(context: &Context, asked: &Endpoint) -> anyhow::Result<String> {
    let Endpoint {
        namespace, service, ..
    } = asked;
    let api: Api<Service> = Api::namespaced(context.cluster.client.clone(), namespace);
    let what = format!("read service {service} in namespace {namespace}");
    let found = context.cluster.read(&what, || api.get_opt(service)).await?;
    let found = found.with_context(|| format!("there is no service {service} to ask"))?;
    found
        .spec
        .and_then(|spec| spec.cluster_ip)
        .filter(|address| address != "None")
        .with_context(|| {
            format!(
                "service {service} has no address of its own, so names can't be told from traffic"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::support::network_policy::tests::judged;
    use chaos_common::record::Status;

    #[test]
    fn a_policy_that_restricts_egress_already_would_be_widened_or_allows_names() {
        let judged = |other: &str| judged(&NO_NAMES, other);
        assert_eq!(
            judged("{spec: {podSelector: {}, policyTypes: [Egress]}}"),
            Status::Fail
        );
        assert_eq!(
            judged("{spec: {podSelector: {}, egress: [{ports: [{port: 80}]}]}}"),
            Status::Fail
        );
        assert_eq!(
            judged("{spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{}]}}"),
            Status::Pass
        );
        assert_eq!(
            judged("{spec: {podSelector: {matchLabels: {app: other}}, policyTypes: [Egress]}}"),
            Status::Pass
        );
    }
}
