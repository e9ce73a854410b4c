//! The metrics API (`kubectl top`), and the quantities that Kubernetes writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Cluster, ReadError, ReadErrorKind};

/// Use by name of the pod or node.
pub type Usage = BTreeMap<String, Sample>;

/// What a pod (all its containers) or a node uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Processor time, in cores.
    pub cpu_cores: f64,
    /// Memory, in bytes.
    pub memory_bytes: f64,
}

impl std::ops::Add for Sample {
    type Output = Sample;
    fn add(self, other: Sample) -> Sample {
        Sample {
            cpu_cores: self.cpu_cores + other.cpu_cores,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }
}

#[derive(Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
    #[serde(default)]
    usage: Option<Amounts>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Container {
    usage: Amounts,
}

#[derive(Deserialize)]
struct Amounts {
    cpu: String,
    memory: String,
}

/// What the nodes use.
///
/// # Errors
/// There is no metrics API, it has no figures, or it may not be read.
pub async fn nodes(cluster: &Cluster) -> Result<Usage, ReadError> {
    get(
        cluster,
        "/apis/metrics.k8s.io/v1beta1/nodes",
        "read the use of nodes from the metrics API",
    )
    .await
}

/// What the pods of a namespace use.
///
/// # Errors
/// As [`nodes`].
pub async fn pods(cluster: &Cluster, namespace: &str) -> Result<Usage, ReadError> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    get(
        cluster,
        &path,
        &format!("read the use of pods in namespace {namespace} from the metrics API"),
    )
    .await
}

async fn get(cluster: &Cluster, path: &str, what: &str) -> Result<Usage, ReadError> {
    let request = || {
        http::Request::get(path)
            .body(Vec::new())
            .expect("the path is made of valid parts")
    };
    let list = cluster
        .read(what, || cluster.client.request::<List>(request()))
        .await;
    let list = list.map_err(|error| match error.kind {
        ReadErrorKind::NotFound | ReadErrorKind::Other => {
            error.hint("is metrics-server installed and ready? try kubectl top nodes")
        }
        _ => error,
    })?;
    Ok(list
        .items
        .into_iter()
        .map(|item| (item.metadata.name.clone(), sample(&item)))
        .collect())
}

fn sample(item: &Item) -> Sample {
    let amounts = item
        .usage
        .iter()
        .chain(item.containers.iter().map(|container| &container.usage));
    amounts.fold(Sample::default(), |sum, amount| Sample {
        cpu_cores: sum.cpu_cores + quantity(&amount.cpu).unwrap_or(0.0),
        memory_bytes: sum.memory_bytes + quantity(&amount.memory).unwrap_or(0.0),
    })
}

/// The number that a Kubernetes quantity stands for (`250m`, `1Gi`, `12e3`), in the unit of the
/// resource: cores or bytes. The forms are those of `k8s.io/apimachinery/pkg/api/resource`.
pub fn quantity(text: &str) -> Option<f64> {
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        _ => return text.parse().ok().filter(|_| suffix.starts_with(['e', 'E'])),
    };
    number.parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn quantities_of_every_form() {
        assert_eq!(quantity("250m"), Some(0.25));
        assert_eq!(quantity("1Gi"), Some(1_073_741_824.0));
        assert_eq!(quantity("12e3"), Some(12_000.0));
        assert_eq!(quantity("2E"), Some(2e18));
        assert_eq!(quantity("1.5"), Some(1.5));
        assert_eq!(
            quantity("110347n").map(|n| (n * 1e9).round()),
            Some(110_347.0)
        );
        assert_eq!(quantity("lots"), None);
        assert_eq!(quantity("3 apples"), None);
    }
}
