//! DNS failure: a NetworkPolicy that lets a workload's pods reach everything but name servers.
//! Names have to fail in one of these pods while the same Service, asked by its address, goes on
//! answering.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::cluster::workload::WorkloadKind;
use chaos_common::config::{Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Plan};
use k8s_openapi::api::core::v1::Service;
use kube::api::Api;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::experiments::support::connectivity::{self, ConnectivityProof};
use crate::experiments::support::network_policy::{Other, Policy, RunningPolicy};
use crate::experiments::support::peer::{PeerPods, Routes};
use crate::experiments::support::probe_pod::ProbeCommand;
use crate::experiments::support::steady_state::SteadyState;
use crate::observe::to_exec;
use crate::permissions::need_one;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "dns-failure";
/// Ports that name servers listen on: 53, and behind a Service also 5353 (CoreDNS of OpenShift).
const NAME_SERVERS: [u16; 2] = [53, 5353];

/// `[experiment.dns_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload whose pods find no names, as `deployment/NAME`, when no flag names one. The
    /// proof is made in one of its pods, which needs `sh` and `curl`.
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
    pub alerts: Vec<String>,
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

    /// Its Deployment, in one of whose pods the proof is made.
    fn deployment(&self) -> anyhow::Result<String> {
        let workload = workload::parse(&self.workload)?;
        if workload.kind != WorkloadKind::Deployment {
            bail!("{workload} is no Deployment, in whose pods names could be asked for");
        }
        Ok(workload.name)
    }
}

/// Every port but those of name servers, as ranges.
fn other_ports() -> Vec<(u16, u16)> {
    let mut ranges = Vec::new();
    let mut from = 1;
    for port in NAME_SERVERS {
        ranges.push((from, port - 1));
        from = port + 1;
    }
    ranges.push((from, u16::MAX));
    ranges
}

/// The policy that allows its pods everything but name servers. Beside one that restricts what they
/// may reach it would allow them more than they have now.
const NO_NAMES: Policy = Policy {
    experiment: NAME,
    rules: || {
        let ports = |protocol: &'static str| {
            let port =
                move |(from, to)| json!({ "protocol": protocol, "port": from, "endPort": to });
            other_ports().into_iter().map(port)
        };
        let ports: Vec<Value> = ["TCP", "UDP", "SCTP"].into_iter().flat_map(ports).collect();
        json!({ "policyTypes": ["Egress"], "egress": [{ "ports": ports }] })
    },
    in_the_way: |other, _| {
        let mut kinds = other.policy_types.iter().flatten();
        if kinds.any(|kind| kind == "Egress") || other.egress.is_some() {
            Other::InTheWay
        } else {
            Other::Nothing
        }
    },
    why: "says already what these pods may reach: a second policy could only allow them more",
    hint: "choose a workload whose egress no policy governs",
    clear: "no other policy governs what these pods reach",
};

impl Definition for DnsFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Let a workload's pods find no names";
    const FLAGS: &'static [Flag] = &[Flag::Workload, Flag::MaxShare];
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
        let namespace = &context.namespace;
        let target = Workload::read(context, namespace, &self.workload).await?;
        let mut draft = Draft {
            affected: self.settings.affected.clone(),
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            alerts: self.settings.alerts.clone(),
            ..NO_NAMES.draft(context, &target, None).await
        };
        match (self.asked(context), self.deployment()) {
            (Ok((asked, ..)), Ok(name)) => {
                draft.permissions.extend(to_exec(namespace, &name));
                draft.permissions.push(need_one(
                    &asked.namespace,
                    "get",
                    "",
                    "services",
                    &asked.service,
                ));
            }
            (Err(why), _) | (_, Err(why)) => {
                let check = Check::fail("limit.observable", "", why.to_string());
                draft.checks.push(check);
            }
        }
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
        let (asked, path, status) = self.asked(context)?;
        let address = cluster_ip(context, &asked).await?;
        let pods = PeerPods {
            cluster: context.cluster.clone(),
            namespace: context.namespace.clone(),
            deployment: self.deployment()?,
        };
        let most = connectivity::longest(context, plan);
        let url = asked.url(&path);
        let asking = |address| ProbeCommand::anew(&url, address, most).expecting(status);
        let routes = Routes::ask(Arc::new(pods), asking(None), asking(Some(&address)));
        Ok(Box::new(RunningPolicy {
            name: NAME,
            proof: ConnectivityProof::start(&self.workload, routes).await?,
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
    use k8s_openapi::api::networking::v1::NetworkPolicy;

    #[test]
    fn every_port_but_those_of_name_servers_stays_open() {
        assert_eq!(other_ports(), [(1, 52), (54, 5352), (5354, 65535)]);
        let policy = NO_NAMES.manifest("x", "prod", &json!({ "matchLabels": { "app": "shop" } }));
        let policy: NetworkPolicy = serde_json::from_value(policy).expect("a policy");
        let spec = policy.spec.expect("a spec");
        assert_eq!(
            spec.policy_types.as_deref(),
            Some(&["Egress".to_owned()][..])
        );
        assert_eq!(
            spec.egress.expect("one rule")[0]
                .ports
                .as_ref()
                .map(Vec::len),
            Some(9)
        );
    }

    #[test]
    fn a_policy_that_restricts_egress_already_would_be_widened() {
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
