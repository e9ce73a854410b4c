//! ConfigMaps and Secrets of the namespace by digest: what changed, without a value being kept.
//!
//! Everything in the namespace counts, also `kube-root-ca.crt`, tokens and Helm's releases: none of
//! them changes by itself while an experiment runs, and one that is gone matters. Only what the
//! chaos tools keep there for themselves is left out (names that begin with `chaos-runbook`).
//!
//! A digest is keyed with the run's id, so it can't be looked up in a table or compared between
//! runs. Who holds the stream can still try guesses against it: a weak password in a Secret that
//! holds nothing else is not protected by its digest.

use std::collections::BTreeMap;

use chaos_common::cluster::ReadError;
use chaos_common::record::{Baseline, Check, ObjectDigest, Status};
use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ListParams};
use sha2::{Digest, Sha256};

use crate::target::Target;

/// What the chaos tools keep in a namespace for themselves begins with this.
const OURS: &str = "chaos-runbook";

/// The objects of one kind, as far as they could be read.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    /// `ConfigMap` or `Secret`.
    pub(crate) name: &'static str,
    pub(crate) digests: Result<Vec<ObjectDigest>, ReadError>,
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
            digests: maps.map(|maps| sorted(maps.iter().map(|map| of_config_map(map, run)))),
        },
        Kind {
            name: "Secret",
            digests: secrets.map(|all| sorted(all.iter().map(|secret| of_secret(secret, run)))),
        },
    ]
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

/// `data.configuration`: is every object what it was?
pub(crate) fn compare(before: Option<&Baseline>, kinds: &[Kind]) -> Vec<Check> {
    const ID: &str = "data.configuration";
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
                checks.extend(compare_kind(ID, &kind.object(), &before, now));
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

fn compare_kind(id: &str, all: &str, before: &[&ObjectDigest], now: &[ObjectDigest]) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut same = 0;
    let object = |one: &ObjectDigest| format!("{}/{}", one.kind.to_lowercase(), one.name);
    for was in before {
        match now.iter().find(|is| is.name == was.name) {
            None => checks.push(Check::fail(id, object(was), "is gone since the baseline")),
            Some(is) if is.digest != was.digest => {
                checks.push(Check::fail(
                    id,
                    object(was),
                    "holds something else than in the baseline",
                ));
            }
            Some(_) => same += 1,
        }
    }
    for is in now
        .iter()
        .filter(|is| !before.iter().any(|was| was.name == is.name))
    {
        checks.push(Check::new(
            id,
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
                id,
                all,
                format!("{same} of {of} hold what they held in the baseline"),
            ),
        );
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(run: &str, data: &[(&str, &str)]) -> String {
        let data = data
            .iter()
            .map(|(key, value)| (*key, value.as_bytes()))
            .collect();
        digest("ConfigMap", Some("a"), run, data).digest
    }

    #[test]
    fn a_digest_shows_every_change_and_every_move() {
        let original = hash("run", &[("ab", "c"), ("d", "e")]);
        assert_eq!(original, hash("run", &[("d", "e"), ("ab", "c")]));
        for other in [
            hash("run", &[("a", "bc"), ("d", "e")]),
            hash("run", &[("ab", "cd"), ("", "e")]),
            hash("run", &[("ab", "e"), ("d", "c")]),
            hash("run", &[("ab", "c")]),
            hash("run", &[("ab", "c"), ("d", "")]),
            hash("other run", &[("ab", "c"), ("d", "e")]),
        ] {
            assert_ne!(original, other);
        }
        assert_eq!(original.len(), 64);
    }

    #[test]
    fn binary_and_text_data_both_count() {
        let map = |json| serde_json::from_value::<ConfigMap>(json).expect("a ConfigMap");
        let text = of_config_map(&map(serde_json::json!({ "data": { "a": "x" } })), "r").digest;
        let binary = of_config_map(
            &map(serde_json::json!({ "binaryData": { "a": "eQ==" } })),
            "r",
        )
        .digest;
        let empty = of_config_map(&map(serde_json::json!({})), "r").digest;
        assert!(text != binary && binary != empty && text != empty);
    }

    fn object(name: &str, digest: &str) -> ObjectDigest {
        ObjectDigest {
            kind: "ConfigMap".to_owned(),
            name: name.to_owned(),
            digest: digest.to_owned(),
        }
    }

    fn compared(before: &[ObjectDigest], now: &[ObjectDigest]) -> Vec<(Status, String)> {
        let checks = compare_kind("x", "configmaps", &before.iter().collect::<Vec<_>>(), now);
        checks
            .into_iter()
            .map(|check| (check.status, check.object.unwrap_or_default()))
            .collect()
    }

    #[test]
    fn changed_and_missing_fail_and_new_warns_each_by_name() {
        let before = [
            object("same", "1"),
            object("changed", "2"),
            object("gone", "3"),
        ];
        let now = [
            object("same", "1"),
            object("changed", "x"),
            object("new", "4"),
        ];
        assert_eq!(
            compared(&before, &now),
            [
                (Status::Pass, "configmaps".to_owned()),
                (Status::Fail, "configmap/changed".to_owned()),
                (Status::Fail, "configmap/gone".to_owned()),
                (Status::Warn, "configmap/new".to_owned()),
            ]
        );
    }

    #[test]
    fn nothing_before_and_nothing_now_is_as_it_was() {
        assert_eq!(
            compared(&[], &[]),
            [(Status::Pass, "configmaps".to_owned())]
        );
    }

    #[test]
    fn without_a_baseline_or_with_one_that_was_blind_nothing_is_known() {
        let kinds = [Kind {
            name: "ConfigMap",
            digests: Ok(vec![object("a", "1")]),
        }];
        assert_eq!(compare(None, &kinds)[0].status, Status::Unknown);
        let mut before = crate::pipeline_input::tests::baseline();
        assert_eq!(compare(Some(&before), &kinds)[0].status, Status::Unknown);
        before.checks = baseline(&kinds);
        before.configuration = vec![object("a", "1")];
        assert_eq!(compare(Some(&before), &kinds)[0].status, Status::Pass);
    }

    #[test]
    fn the_tools_own_objects_do_not_count() {
        assert_eq!(sorted([object("chaos-runbook-lock", "1")].into_iter()), []);
    }
}
