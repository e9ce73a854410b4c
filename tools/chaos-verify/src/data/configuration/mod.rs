//! ConfigMaps and Secrets of the namespace by digest: what changed, without a value being kept.
//!
//! Everything in the namespace counts, also `kube-root-ca.crt`, tokens and Helm's releases: none of
//! them changes by itself while an experiment runs, and one that is gone matters. Only what the
//! chaos tools keep there for themselves is left out (names that begin with `chaos-runbook`).
//!
//! A digest is keyed with the run's id, so it can't be looked up in a table or compared between
//! runs. Who holds the stream can still try guesses against it: a weak password in a Secret that
//! holds nothing else is not protected by its digest.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::cluster::ReadError;
use chaos_common::record::{Baseline, Check, ObjectDigest, Status};
use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use sha2::{Digest, Sha256};

use crate::target::Target;

/// The annotation in which client-go noted who leads, before there were Leases.
const LEADER_ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// What the chaos tools keep in a namespace for themselves begins with this.
const OURS: &str = "chaos-runbook";

/// The objects of one kind, as far as they could be read.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// `ConfigMap` or `Secret`.
    pub(crate) name: &'static str,
    pub(crate) digests: Result<Vec<ObjectDigest>, ReadError>,
    /// Names of those that bear a leader's mark, which changes by itself.
    pub(crate) leaders: BTreeSet<String>,
}

impl Kind {
    /// The kind as an object of checks.
    fn object(&self) -> String {
        format!("{}s", self.name.to_lowercase())
    }
}

/// Reads ConfigMaps and Secrets. `run` is the id that keys the digests.
pub(crate) async fn read(target: &Target<'_>, run: &str) -> [Kind; 2] {
    let (client, all, namespace) = (
        &target.cluster.client,
        ListParams::default(),
        target.namespace,
    );
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let (maps, secrets) = futures::join!(
        target.cluster.list(
            &maps,
            &all,
            format!("list configmaps in namespace {namespace}")
        ),
        target.cluster.list(
            &secrets,
            &all,
            format!("list secrets in namespace {namespace}")
        ),
    );
    [
        Kind {
            name: "ConfigMap",
            leaders: maps.iter().flatten().filter_map(leader).collect(),
            digests: maps.map(|maps| sorted(maps.iter().map(|map| of_config_map(map, run)))),
        },
        Kind {
            name: "Secret",
            leaders: BTreeSet::new(),
            digests: secrets.map(|all| sorted(all.iter().map(|secret| of_secret(secret, run)))),
        },
    ]
}

/// The name of a ConfigMap in which pods note who of them leads, by the marks of those who are
/// known to do so: client-go (its older lock), Flink, Spring Cloud and Camel.
fn leader(map: &ConfigMap) -> Option<String> {
    let (annotations, labels) = (
        map.metadata.annotations.as_ref(),
        map.metadata.labels.as_ref(),
    );
    let labelled = |key: &str, value: &str| {
        labels.is_some_and(|labels| labels.get(key).is_some_and(|is| is == value))
    };
    let keys = || map.data.iter().flatten().map(|(key, _)| key);
    let marked = annotations.is_some_and(|all| all.contains_key(LEADER_ANNOTATION))
        || labelled("configmap-type", "high-availability")
        || (labelled("provider", "spring-cloud-kubernetes") && labelled("kind", "leaders"))
        || keys().any(|key| key.starts_with("leader.id.") || key.starts_with("leader.pod."));
    marked.then(|| map.metadata.name.clone())?
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(left) = name.strip_prefix(start) else {
        return false;
    };
    let cuts = left.char_indices().map(|(at, _)| at).chain([left.len()]);
    cuts.into_iter().any(|at| fits(rest, &left[at..]))
}

/// What of the configuration changes by itself.
#[derive(Clone, Copy, Debug)]
struct Unsteady<'a> {
    /// Patterns of `KIND/NAME` that are not looked at.
    ignore: &'a [String],
    /// Names of ConfigMaps with a leader's mark.
    leaders: &'a BTreeSet<String>,
}

impl Unsteady<'_> {
    fn ignores(&self, one: &ObjectDigest) -> bool {
        let object = object(one);
        self.ignore.iter().any(|pattern| fits(pattern, &object))
    }
}

fn object(one: &ObjectDigest) -> String {
    format!("{}/{}", one.kind.to_lowercase(), one.name)
}

fn sorted(digests: impl Iterator<Item = ObjectDigest>) -> Vec<ObjectDigest> {
    let mut digests: Vec<_> = digests.filter(|one| !one.name.starts_with(OURS)).collect();
    digests.sort_by(|a, b| a.name.cmp(&b.name));
    digests
}

fn of_config_map(map: &ConfigMap, run: &str) -> ObjectDigest {
    let text = map
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.as_bytes()));
    let binary = map
        .binary_data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.0.as_slice()));
    // The two maps share their keys, so joined they stay unambiguous.
    digest(
        "ConfigMap",
        map.metadata.name.as_deref(),
        run,
        text.chain(binary).collect(),
    )
}

fn of_secret(secret: &Secret, run: &str) -> ObjectDigest {
    let data = secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value.0.as_slice()));
    digest(
        "Secret",
        secret.metadata.name.as_deref(),
        run,
        data.collect(),
    )
}

fn digest(kind: &str, name: Option<&str>, run: &str, data: BTreeMap<&str, &[u8]>) -> ObjectDigest {
    let mut hash = Sha256::new();
    // Every part goes with its length: bytes that move from a key to its value, or from one value
    // to the next, give another digest.
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(run.as_bytes());
    for (key, value) in data {
        part(key.as_bytes());
        part(value);
    }
    ObjectDigest {
        kind: kind.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        digest: HEXLOWER.encode(&hash.finalize()),
    }
}

/// What could be read of the kinds.
pub(crate) fn digests(kinds: [Kind; 2]) -> Vec<ObjectDigest> {
    kinds
        .into_iter()
        .filter_map(|kind| kind.digests.ok())
        .flatten()
        .collect()
}

/// `baseline.configuration`: could each kind be read?
pub(crate) fn baseline(kinds: &[Kind]) -> Vec<Check> {
    const ID: &str = "baseline.configuration";
    let judge = |kind: &Kind| match &kind.digests {
        Ok(digests) => Check::pass(
            ID,
            kind.object(),
            format!("{} read, kept by digest", digests.len()),
        ),
        Err(error) => error.check(ID, kind.object()),
    };
    kinds.iter().map(judge).collect()
}

/// `data.configuration`: is every object what it was? Those that fit a pattern of `ignore` are not
/// looked at.
pub(crate) fn compare(before: Option<&Baseline>, kinds: &[Kind], ignore: &[String]) -> Vec<Check> {
    let mut checks = Vec::new();
    for kind in kinds {
        let now = match &kind.digests {
            Ok(now) => now,
            Err(error) => {
                checks.push(error.check(ID, kind.object()));
                continue;
            }
        };
        let count = now.len();
        match before {
            None => {
                let message = format!("{count} there, and there is no baseline to compare with");
                checks.push(Check::unknown(ID, kind.object(), message));
            }
            Some(before) if !was_read(before, kind) => {
                checks.push(Check::unknown(
                    ID,
                    kind.object(),
                    "the baseline could not read them",
                ));
            }
            Some(before) => {
                let before: Vec<_> = before
                    .configuration
                    .iter()
                    .filter(|one| one.kind == kind.name)
                    .collect();
                let unsteady = Unsteady {
                    ignore,
                    leaders: &kind.leaders,
                };
                checks.extend(compare_kind(&kind.object(), &before, now, unsteady));
            }
        }
    }
    checks
}

/// An empty list may mean that there is none or that it could not be read; the check tells.
fn was_read(before: &Baseline, kind: &Kind) -> bool {
    let object = kind.object();
    before.checks.iter().any(|check| {
        check.id == "baseline.configuration"
            && check.object.as_deref() == Some(object.as_str())
            && check.status == Status::Pass
    })
}

const ID: &str = "data.configuration";

fn compare_kind(
    all: &str,
    before: &[&ObjectDigest],
    now: &[ObjectDigest],
    unsteady: Unsteady,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut same = 0;
    let before: Vec<_> = before.iter().filter(|one| !unsteady.ignores(one)).collect();
    let now: Vec<_> = now.iter().filter(|one| !unsteady.ignores(one)).collect();
    for was in &before {
        match now.iter().find(|is| is.name == was.name) {
            None => checks.push(Check::fail(ID, object(was), "is gone since the baseline")),
            Some(is) if is.digest != was.digest && unsteady.leaders.contains(&is.name) => {
                let message = "holds something else than in the baseline, and a leader's mark, \
                               which changes by itself";
                checks.push(Check::new(ID, object(was), Status::Warn, message));
            }
            Some(is) if is.digest != was.digest => {
                let message = "holds something else than in the baseline";
                let hint = "what changes by itself can be left out: [configuration] ignore";
                checks.push(Check::fail(ID, object(was), message).hint(hint));
            }
            Some(_) => same += 1,
        }
    }
    for is in now
        .iter()
        .filter(|is| !before.iter().any(|was| was.name == is.name))
    {
        checks.push(Check::new(
            ID,
            object(is),
            Status::Warn,
            "is new since the baseline",
        ));
    }
    if same > 0 || checks.is_empty() {
        let of = before.len();
        checks.insert(
            0,
            Check::pass(
                ID,
                all,
                format!("{same} of {of} hold what they held in the baseline"),
            ),
        );
    }
    checks
}

#[cfg(test)]
mod tests;
