//! How people name workloads and pods, as kubectl does.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::WorkloadRef;

/// The kinds of controllers that keep pods running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum WorkloadKind {
    /// `deployment`
    Deployment,
    /// `statefulset`
    StatefulSet,
    /// `daemonset`
    DaemonSet,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [WorkloadKind; 3] = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];

    /// As objects name it: `Deployment`.
    pub fn name(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
        }
    }

    /// As the API's paths name it: `deployments`.
    pub fn resource(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "deployments",
            WorkloadKind::StatefulSet => "statefulsets",
            WorkloadKind::DaemonSet => "daemonsets",
        }
    }
}

/// As people type it: `deployment`.
impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource().trim_end_matches('s'))
    }
}

impl FromStr for WorkloadKind {
    type Err = WorkloadNameError;

    /// Kubectl's names and short names, in any case.
    fn from_str(text: &str) -> Result<WorkloadKind, WorkloadNameError> {
        let kind = text.to_lowercase();
        // The API group may be named, as kubectl's own output does: deployment.apps, deployments.v1.apps.
        let kind = kind.strip_suffix(".apps").unwrap_or(&kind);
        match kind.strip_suffix(".v1").unwrap_or(kind) {
            "deployment" | "deployments" | "deploy" => Ok(WorkloadKind::Deployment),
            "statefulset" | "statefulsets" | "sts" => Ok(WorkloadKind::StatefulSet),
            "daemonset" | "daemonsets" | "ds" => Ok(WorkloadKind::DaemonSet),
            _ => Err(WorkloadNameError::Kind(text.to_owned())),
        }
    }
}

/// Why a text names no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadNameError {
    /// It is of another kind.
    #[error(
        "{0:?} is no workload: name a deployment, statefulset or daemonset, \
         or a custom resource by KIND.GROUP/NAME"
    )]
    Kind(String),
    /// It is not of the form `KIND/NAME`.
    #[error("{0:?} is not of the form deployment/NAME")]
    Form(String),
    /// `selector=` with nothing behind it.
    #[error("selector= names no labels: write selector=app=shop")]
    Labels,
}

/// A workload as people name it, `deployment/NAME`; a name alone is a Deployment's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadName {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

impl WorkloadName {
    /// The workload of this name in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> WorkloadRef {
        WorkloadRef {
            kind: self.kind.name().to_owned(),
            namespace: namespace.to_owned(),
            name: self.name.clone(),
        }
    }

    /// Whether it is this one, in whatever namespace.
    pub fn is(&self, workload: &WorkloadRef) -> bool {
        workload.kind == self.kind.name() && workload.name == self.name
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for WorkloadName {
    type Err = WorkloadNameError;

    fn from_str(text: &str) -> Result<WorkloadName, WorkloadNameError> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.parse()?, name),
            None => (WorkloadKind::Deployment, text),
        };
        Ok(WorkloadName {
            kind,
            name: name_in(name, text)?,
        })
    }
}

/// The name behind the kind.
fn name_in(name: &str, text: &str) -> Result<String, WorkloadNameError> {
    if name.is_empty() || name.contains('/') {
        return Err(WorkloadNameError::Form(text.to_owned()));
    }
    Ok(name.to_owned())
}

/// Whether an API group is of custom resources. Those of Kubernetes have no dot or end in `.k8s.io`.
pub fn is_custom_group(group: &str) -> bool {
    group.contains('.') && !group.ends_with(".k8s.io")
}

/// A custom resource with the subresource `scale`, such as `rollout.argoproj.io/shop`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CustomName {
    /// Its kind, in any of the ways that kubectl understands: `rollout`, `rollouts`, `ro`.
    pub kind: String,
    /// Its API group.
    pub group: String,
    /// Its name.
    pub name: String,
}

impl CustomName {
    /// Whether it is this one, in whatever namespace. The kind may be written in several ways, so
    /// resources of one API group and name are taken for the same.
    pub fn is(&self, workload: &WorkloadRef) -> bool {
        let group = workload.kind.split_once('.').map(|(_, group)| group);
        group == Some(self.group.as_str()) && workload.name == self.name
    }
}

impl fmt::Display for CustomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}/{}", self.kind, self.group, self.name)
    }
}

/// Whose pods are meant.
///
/// ```
/// use chaos_common::record::PodSource;
///
/// let read = |text: &str| text.parse::<PodSource>().map(|pods| pods.to_string());
/// assert_eq!(read("sts/db"), Ok("statefulset/db".to_owned()));
/// assert_eq!(read("shop"), Ok("deployment/shop".to_owned()));
/// assert_eq!(read("selector=app=db"), Ok("selector=app=db".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PodSource {
    /// Those of a workload: `deployment/NAME`, `statefulset/NAME`, `daemonset/NAME`.
    Workload(WorkloadName),
    /// Those of a custom resource: `KIND.GROUP/NAME`.
    Custom(CustomName),
    /// Those with labels: `selector=LABELS`.
    Labels(String),
}

impl PodSource {
    /// The workload, where it is one.
    pub fn workload(&self) -> Option<&WorkloadName> {
        match self {
            PodSource::Workload(name) => Some(name),
            PodSource::Custom(_) | PodSource::Labels(_) => None,
        }
    }

    /// Whether it names this workload, in whatever namespace.
    pub fn is(&self, workload: &WorkloadRef) -> bool {
        match self {
            PodSource::Workload(name) => name.is(workload),
            PodSource::Custom(name) => name.is(workload),
            PodSource::Labels(_) => false,
        }
    }

    /// Whether it names the same as another; a custom resource's kind may be written in several ways.
    pub fn same_as(&self, other: &PodSource) -> bool {
        match (self, other) {
            (PodSource::Custom(one), PodSource::Custom(other)) => {
                one.group == other.group && one.name == other.name
            }
            _ => self == other,
        }
    }

    /// The name in it; the labels, where it has none.
    pub fn name(&self) -> &str {
        match self {
            PodSource::Workload(workload) => &workload.name,
            PodSource::Custom(custom) => &custom.name,
            PodSource::Labels(labels) => labels,
        }
    }
}

impl From<WorkloadName> for PodSource {
    fn from(name: WorkloadName) -> PodSource {
        PodSource::Workload(name)
    }
}

impl fmt::Display for PodSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PodSource::Workload(name) => name.fmt(f),
            PodSource::Custom(custom) => custom.fmt(f),
            PodSource::Labels(labels) => write!(f, "selector={labels}"),
        }
    }
}

impl FromStr for PodSource {
    type Err = WorkloadNameError;

    fn from_str(text: &str) -> Result<PodSource, WorkloadNameError> {
        if let Some(labels) = text.strip_prefix("selector=") {
            return match labels.trim() {
                "" => Err(WorkloadNameError::Labels),
                labels => Ok(PodSource::Labels(labels.to_owned())),
            };
        }
        let named = text.parse();
        if let (Err(WorkloadNameError::Kind(_)), Some((kind, name))) =
            (&named, text.split_once('/'))
            && let Some((kind, group)) = kind.split_once('.')
        {
            return Ok(PodSource::Custom(CustomName {
                kind: kind.to_owned(),
                group: group.to_owned(),
                name: name_in(name, text)?,
            }));
        }
        named.map(PodSource::Workload)
    }
}

impl<'de> Deserialize<'de> for PodSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PodSource, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for PodSource {
    fn schema_name() -> Cow<'static, str> {
        "PodSource".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "examples": ["statefulset/db", "rollout.argoproj.io/shop", "selector=app=db"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_named_as_for_kubectl() {
        let parse = |text: &str| text.parse::<WorkloadName>().map(|name| name.to_string());
        assert_eq!(parse("deployment/shop"), Ok("deployment/shop".to_owned()));
        assert_eq!(parse("sts/db"), Ok("statefulset/db".to_owned()));
        assert_eq!(parse("DaemonSet/agent"), Ok("daemonset/agent".to_owned()));
        assert_eq!(parse("shop"), Ok("deployment/shop".to_owned()));
        for kind in [
            "deployment.apps",
            "deployments.v1.apps",
            "deploy",
            "Deployments",
        ] {
            let named = parse(&format!("{kind}/shop"));
            assert_eq!(named, Ok("deployment/shop".to_owned()), "{kind}");
        }
        assert_eq!(
            parse("pod/a"),
            Err(WorkloadNameError::Kind("pod".to_owned()))
        );
        for text in ["", "deployment/", "deployment/a/b"] {
            assert_eq!(parse(text), Err(WorkloadNameError::Form(text.to_owned())));
        }
    }

    #[test]
    fn pods_are_named_by_their_workload_a_custom_resource_or_labels() {
        let parse = |text: &str| text.parse::<PodSource>();
        let custom = parse("rollout.argoproj.io/shop").expect("a custom resource");
        assert_eq!(custom.to_string(), "rollout.argoproj.io/shop");
        assert_eq!((custom.workload(), custom.name()), (None, "shop"));
        let of_kind = |kind: &str| WorkloadRef {
            kind: kind.to_owned(),
            namespace: "prod".to_owned(),
            name: "shop".to_owned(),
        };
        assert!(custom.is(&of_kind("Rollout.argoproj.io")));
        assert!(!custom.is(&of_kind("Rollout.example.com")));
        assert!(!custom.is(&of_kind("Deployment")));
        let set = parse("sts.apps/db").expect("a workload");
        assert_eq!(set.to_string(), "statefulset/db");
        let labels = "selector=app in (db, cache),tier!=test";
        assert_eq!(
            parse(labels).map(|pods| pods.to_string()),
            Ok(labels.to_owned())
        );
        assert_eq!(parse("selector= "), Err(WorkloadNameError::Labels));
        assert_eq!(
            parse("pod/a"),
            Err(WorkloadNameError::Kind("pod".to_owned()))
        );
        let empty = "rollout.argoproj.io/";
        assert_eq!(parse(empty), Err(WorkloadNameError::Form(empty.to_owned())));
    }
}
