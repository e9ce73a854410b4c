use super::*;
use chaos_common::record::ObjectRef;

fn scale() -> Change {
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        resource: "deployments".into(),
        namespace: Some("prod".into()),
        name: "shop".into(),
        uid: Some("u1".into()),
    };
    Change::Patch {
        object,
        field: vec!["spec".into(), "replicas".into()],
        original: json!(3),
        faulted: json!(0),
    }
}

fn deployment(uid: &str, replicas: u32, label: Option<&str>) -> Value {
    json!({ "metadata": { "uid": uid, "resourceVersion": "7", "labels": { RUN_LABEL: label } }, "spec": { "replicas": replicas } })
}

fn make() -> Change {
    let Change::Patch { mut object, .. } = scale() else {
        unreachable!()
    };
    object.uid = None;
    Change::Create {
        object,
        manifest: json!({ "metadata": { "name": "x" } }),
    }
}

fn owner() -> Owner {
    Owner {
        name: "lease".into(),
        uid: "l1".into(),
    }
}

fn replicas(step: &Step) -> Option<&Value> {
    let Step::Patch(patch) = step else {
        return None;
    };
    patch.get("spec").map(|spec| &spec["replicas"])
}

#[test]
fn a_value_is_only_changed_from_what_the_plan_saw() {
    let step = |now: &Value| next_to_apply(&scale(), Some(now), "r", &owner());
    let first = step(&deployment("u1", 3, None));
    assert_eq!(replicas(&first), Some(&json!(0)));
    let Step::Patch(patch) = first else {
        unreachable!()
    };
    assert_eq!(patch["metadata"]["labels"][RUN_LABEL], "r");
    assert_eq!(
        (
            &patch["metadata"]["uid"],
            &patch["metadata"]["resourceVersion"]
        ),
        (&json!("u1"), &json!("7"))
    );
    assert_eq!(step(&deployment("u1", 0, Some("r"))), Step::Done(None));
    assert!(matches!(step(&deployment("u1", 5, None)), Step::Refuse(_)));
    assert!(
        matches!(step(&deployment("u1", 0, None)), Step::Refuse(_)),
        "somebody else scaled it to 0"
    );
    assert!(matches!(step(&deployment("u2", 3, None)), Step::Refuse(_)));
    assert!(matches!(
        step(&deployment("u1", 3, Some("other"))),
        Step::Refuse(_)
    ));
    assert!(matches!(
        next_to_apply(&scale(), None, "r", &owner()),
        Step::Refuse(_)
    ));
}

#[test]
fn what_is_ours_goes_back_and_what_is_not_stays() {
    let step = |now: &Value, fence| next_to_undo(&scale(), Some(now), "r", fence);
    let back = step(&deployment("u1", 0, Some("r")), false);
    assert_eq!(replicas(&back), Some(&json!(3)));
    let Step::Patch(patch) = back else {
        unreachable!()
    };
    assert_eq!(patch["metadata"]["labels"][RUN_LABEL], Value::Null);
    // Somebody scaled it meanwhile: only our label goes.
    let theirs = step(&deployment("u1", 5, Some("r")), false);
    assert!(matches!(theirs, Step::Patch(_)) && replicas(&theirs).is_none());
    let gone = next_to_undo(&scale(), None, "r", true);
    assert!(matches!(gone, Step::Done(Some(Note { less: true, .. }))));
    assert_eq!(step(&deployment("u1", 3, None), false), Step::Done(None));
}

/// The same, with the name of who wrote the replicas.
fn written_by(manager: &str, uid: &str, replicas: u32, label: Option<&str>) -> Value {
    let mut now = deployment(uid, replicas, label);
    now["metadata"]["managedFields"] = json!([{
        "manager": manager, "fieldsV1": { "f:spec": { "f:replicas": {} } },
    }]);
    now
}

#[test]
fn what_counts_is_who_wrote_the_value_and_what_it_is() {
    let step = |now: &Value| next_to_undo(&scale(), Some(now), "r", true);
    let less = |now: &Value| match step(now) {
        Step::Done(Some(note)) => Some(note.less),
        _ => None,
    };
    let ours = ownership::FIELD_MANAGER;
    // Somebody took our label off.
    let back = step(&written_by(ours, "u1", 0, None));
    assert_eq!(replicas(&back), Some(&json!(3)));
    let back = step(&deployment("u1", 0, None));
    assert_eq!(
        replicas(&back),
        Some(&json!(3)),
        "nobody else is known to have written it"
    );
    assert_eq!(
        less(&written_by("kubectl", "u1", 0, None)),
        Some(true),
        "not our zero"
    );
    assert_eq!(less(&written_by("kubectl", "u1", 1, None)), Some(true));
    assert_eq!(less(&written_by("hpa", "u1", 5, None)), Some(false));
    assert_eq!(
        less(&written_by(ours, "u1", 0, Some("other"))),
        Some(true),
        "another run's"
    );
}

#[test]
fn what_is_made_anew_with_our_value_is_put_right_or_not_restored() {
    let step = |now: &Value| next_to_undo(&scale(), Some(now), "r", true);
    let Step::Patch(patch) = step(&written_by("kubectl", "u2", 0, Some("r"))) else {
        panic!("an export carries our label and our value")
    };
    assert_eq!(patch["spec"]["replicas"], 3);
    assert_eq!(patch["metadata"]["uid"], "u2", "the one that is there");
    let anew = written_by("kubectl-create", "u2", 0, None);
    assert!(matches!(step(&anew), Step::Refuse(_)));
    assert_eq!(
        step(&written_by("kubectl-create", "u2", 3, None)),
        Step::Done(None)
    );
    let fewer = step(&written_by("kubectl-create", "u2", 1, None));
    assert!(matches!(fewer, Step::Done(Some(Note { less: true, .. }))));
}

#[test]
fn an_object_that_was_created_stays_ours_without_its_label() {
    let step = |now: &Value| next_to_undo(&make(), Some(now), "r", false);
    assert!(matches!(
        step(&deployment("u1", 0, None)),
        Step::Done(Some(_))
    ));
    let ours = written_by(ownership::FIELD_MANAGER, "u1", 0, None);
    assert_eq!(step(&ours), Step::Delete("u1".into()), "we wrote it");
    let other = written_by(ownership::FIELD_MANAGER, "u1", 0, Some("other"));
    assert!(matches!(step(&other), Step::Done(Some(_))), "another run's");
}

#[test]
fn a_fence_makes_a_call_on_its_way_too_late_and_goes_again() {
    let Step::Patch(fence) = next_to_undo(&scale(), Some(&deployment("u1", 3, None)), "r", true)
    else {
        panic!("no fence")
    };
    assert_eq!(fence["metadata"]["labels"][RUN_LABEL], "r");
    assert!(fence.get("spec").is_none());
    let Step::Patch(away) =
        next_to_undo(&scale(), Some(&deployment("u1", 3, Some("r"))), "r", true)
    else {
        panic!("it stays")
    };
    assert_eq!(away["metadata"]["labels"][RUN_LABEL], Value::Null);
    assert!(away.get("spec").is_none());
}

#[test]
fn an_object_is_made_once_with_label_and_owner_and_only_ours_is_deleted() {
    let Step::Create(made) = next_to_apply(&make(), None, "r", &owner()) else {
        panic!("not made")
    };
    assert_eq!(made["metadata"]["labels"][RUN_LABEL], "r");
    assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "l1");
    assert_eq!(
        next_to_apply(
            &make(),
            Some(&deployment("u1", 0, Some("r"))),
            "r",
            &owner()
        ),
        Step::Done(None)
    );
    assert!(matches!(
        next_to_apply(&make(), Some(&deployment("u1", 0, None)), "r", &owner()),
        Step::Refuse(_)
    ));
    assert_eq!(
        next_to_undo(&make(), Some(&deployment("u1", 0, Some("r"))), "r", false),
        Step::Delete("u1".into())
    );
    assert!(matches!(
        next_to_undo(&make(), Some(&deployment("u1", 0, None)), "r", false),
        Step::Done(Some(_))
    ));
    assert_eq!(next_to_undo(&make(), None, "r", true), Step::Done(None));
    let mut going = deployment("u1", 0, Some("r"));
    going["metadata"]["deletionTimestamp"] = json!("2026-11-22T16:00:00Z");
    assert_eq!(next_to_undo(&make(), Some(&going), "r", false), Step::Wait);
}
