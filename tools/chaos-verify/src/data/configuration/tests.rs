//! What changes, what changes by itself, and what could not be read.

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
    let unsteady = Unsteady {
        ignore: &["configmap/ignored-*".to_owned()],
        leaders: &BTreeSet::from(["led".to_owned()]),
    };
    let before = before.iter().collect::<Vec<_>>();
    let checks = compare_kind("configmaps", &before, now, unsteady);
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
        leaders: BTreeSet::new(),
    }];
    let status = |before: Option<&Baseline>| compare(before, &kinds, &[])[0].status;
    assert_eq!(status(None), Status::Unknown);
    let mut before = crate::pipeline_input::tests::baseline();
    assert_eq!(status(Some(&before)), Status::Unknown);
    before.checks = baseline(&kinds);
    before.configuration = vec![object("a", "1")];
    assert_eq!(status(Some(&before)), Status::Pass);
}

#[test]
fn what_changes_by_itself_does_not_fail() {
    let before = [
        object("same", "1"),
        object("led", "1"),
        object("ignored-a", "1"),
        object("ignored-b", "1"),
    ];
    let now = [
        object("same", "1"),
        object("led", "2"),
        object("ignored-a", "2"),
        object("ignored-c", "1"),
    ];
    assert_eq!(
        compared(&before, &now),
        [
            (Status::Pass, "configmaps".to_owned()),
            (Status::Warn, "configmap/led".to_owned()),
        ]
    );
    // One that is gone is gone.
    assert_eq!(
        compared(&before[1..2], &[]),
        [(Status::Fail, "configmap/led".to_owned())]
    );
}

#[test]
fn leaders_marks_are_known() {
    let of = |json| leader(&serde_json::from_value(json).expect("a ConfigMap")).is_some();
    let named = |metadata: serde_json::Value, data: serde_json::Value| {
        let mut metadata = metadata;
        metadata["name"] = "a".into();
        of(serde_json::json!({ "metadata": metadata, "data": data }))
    };
    let none = serde_json::json!({});
    let annotated = serde_json::json!({ "annotations": { LEADER_ANNOTATION: "{}" } });
    assert!(named(annotated, none.clone()));
    let flink = serde_json::json!({ "labels": { "configmap-type": "high-availability" } });
    assert!(named(flink, none.clone()));
    assert!(named(
        none.clone(),
        serde_json::json!({ "leader.id.world": "pod-1" })
    ));
    assert!(!named(none, serde_json::json!({ "leader": "x" })));
}

#[test]
fn a_star_stands_for_anything() {
    assert!(fits("configmap/a", "configmap/a") && !fits("configmap/a", "configmap/ab"));
    assert!(fits("*", "secret/x") && fits("secret/*-token", "secret/a-b-token"));
    assert!(!fits("secret/*-token", "secret/a-tokens") && fits("a*b*c", "a-b-b-c"));
}

#[test]
fn the_tools_own_objects_do_not_count() {
    assert_eq!(sorted([object("chaos-runbook-lock", "1")].into_iter()), []);
}
