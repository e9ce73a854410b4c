//! DNS failure: a NetworkPolicy that lets a workload's pods reach everything but name servers.
//! Names have to fail in one of these pods while the same Service, asked by its address, goes on
//! answering.

use async_trait::async_trait;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::config::{Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, Plan};
use k8s_openapi::api::core::v1::Service;
use kube::api::Api;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::abort::Abort;
use crate::change::apply::Applied;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::support::connectivity::{self, Traffic};
use crate::experiments::support::network_policy::Policy;
use crate::experiments::support::probe_pod::{Asking, Route};
use crate::experiments::support::steady_state::Wholeness;
use crate::observe::{Seen, to_exec};
use crate::permissions::need_one;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::fault::{End, Fault};

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
    /// Longest time from its end until all is whole again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer.
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
    whole: Wholeness,
    traffic: Traffic,
}

impl DnsFailure {
    /// The Service whose name is looked up, with the path that is asked.
    fn asked(&self, context: &Context) -> Result<(Endpoint, String), String> {
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
                )
            })
            .ok_or_else(|| {
                "no configured service with a health path can be asked by its name".to_owned()
            })
    }

    /// Its Deployment, in one of whose pods the proof is made.
    fn deployment(&self) -> Result<&str, String> {
        match workload::parse(&self.workload)? {
            ("Deployment", _, name) => Ok(name),
            _ => Err(format!(
                "{} is no Deployment, in whose pods names could be asked for",
                self.workload
            )),
        }
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
    in_the_way: |other| {
        other
            .policy_types
            .iter()
            .flatten()
            .any(|kind| kind == "Egress")
            || other.egress.is_some()
    },
    why: "says already what these pods may reach: a second policy could only allow them more",
    hint: "choose a workload whose egress no policy governs",
    clear: "no other policy governs what these pods reach",
};

impl Definition for DnsFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Let a workload's pods find no names";
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        let workload = selection
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .ok_or_else(|| {
                Failure::usage("nothing names the workload whose pods shall find no names")
                    .hint("give --workload, or set experiment.dns_failure.workload in chaos.toml")
            })?;
        Ok(DnsFailure {
            settings,
            workload,
            whole: Wholeness::default(),
            traffic: Traffic::default(),
        })
    }
}

#[async_trait(?Send)]
impl Fault for DnsFailure {
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
            ..NO_NAMES.draft(context, &target).await
        };
        match (self.asked(context), self.deployment()) {
            (Ok((asked, _)), Ok(name)) => {
                draft.permissions.extend(to_exec(namespace, name));
                draft.permissions.push(need_one(
                    &asked.namespace,
                    "get",
                    "",
                    "services",
                    &asked.service,
                ));
            }
            (Err(why), _) | (_, Err(why)) => {
                draft.checks.push(Check::fail("limit.observable", "", why));
            }
        }
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let cluster = &context.cluster;
        let target = Workload::read(context, &context.namespace, &self.workload)
            .await
            .map_err(|e| e.to_string())?;
        self.whole = Wholeness::of(context, plan, std::slice::from_ref(&target)).await?;
        let (asked, path) = self.asked(context)?;
        let services: Api<Service> = Api::namespaced(cluster.client.clone(), &asked.namespace);
        let what = format!(
            "read service {} in namespace {}",
            asked.service, asked.namespace
        );
        let service = cluster
            .read(&what, || services.get(&asked.service))
            .await
            .map_err(|error| match error.kind {
                ReadErrorKind::NotFound => format!("there is no service {} to ask", asked.service),
                _ => error.to_string(),
            })?;
        let address = service
            .spec
            .and_then(|spec| spec.cluster_ip)
            .filter(|address| address != "None")
            .ok_or_else(|| {
                format!(
                    "service {} has no address of its own, so names can't be told from traffic",
                    asked.service
                )
            })?;
        let pod = cluster
            .ready_pod(&context.namespace, self.deployment()?)
            .await
            .map_err(|error| error.to_string())?;
        let most = connectivity::longest(context, plan);
        let url = asked.url(&path);
        let route = Route::start(cluster, &pod, Asking::anew(&url, None, most));
        let control = Route::start(cluster, &pod, Asking::anew(&url, Some(&address), most));
        self.traffic = Traffic::start(&self.workload, route, control).await?;
        Ok(())
    }

    fn made(&mut self, _change: &Change, made: Applied) {
        self.traffic.made(made.sent);
    }

    async fn effect(
        &mut self,
        _context: &mut Context,
        _plan: &Plan,
    ) -> Result<Option<String>, String> {
        self.traffic.cut_off().await.map(Some)
    }

    async fn before_undo(&mut self, _context: &mut Context, _plan: &Plan) {
        self.traffic.still_cut();
    }

    async fn restored(&mut self, context: &mut Context, _plan: &Plan, _abort: &mut Abort) -> End {
        self.traffic
            .restored(context, &mut self.whole, self.settings.recovery_limit.0)
            .await
    }

    fn judge(&self, _context: &Context, _plan: &Plan, _seen: &Seen) -> Vec<Check> {
        self.traffic.judge(NAME)
    }
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
