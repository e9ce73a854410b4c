//! How far experiments may go: outages that are allowed, shares, and what the API server would not
//! accept.

use chaos_common::exit::Exit;
use chaos_common::record::Status;
use serde_json::json;

use super::{experiment, of, planned, refusals};
use crate::plan::target::Selection;
use crate::testing::Behaviour;
use crate::testing::application::{application, mounting, service};
use crate::testing::controllers;
use crate::testing::test_bed::TestBed;

/// The only pod of a front end behind its Service, beside other pods.
fn the_only_pod() -> TestBed {
    let mut bed = TestBed::with(application("StatefulSet", "other", 6));
    bed.server.add_all(application("Deployment", "one", 1));
    bed.server.add(service("front", "one"));
    bed.server.answer("front", 200, "ok");
    bed.config = "[[service]]\nname = \"front\"\nport = 80\nhealth = \"/health\"\n\
                  vantage = \"api-proxy\"\n"
        .to_owned();
    bed
}

const TAKE_PODS: [&str; 2] = ["pod-failure", "scale-down"];

#[tokio::test(start_paused = true)]
async fn the_only_pod_of_a_workload_is_taken_only_where_an_outage_is_allowed() {
    for name in TAKE_PODS {
        let mut bed = the_only_pod();
        let plan = planned(&bed, name, &of("one")).await.expect(name);
        let refused = refusals(&plan, "limit.survivors");
        assert_eq!(refused.len(), 1, "{name}: {refused:?}");
        bed.allow_outage = true;
        let plan = planned(&bed, name, &of("one")).await.expect(name);
        assert_eq!(refusals(&plan, ""), [""; 0], "{name}");
        assert_eq!(plan.affected, ["front"], "{name}: its Service suffers");
        let told = plan.checks.iter().find(|one| one.id == "limit.survivors");
        let told = told.expect("it is judged");
        assert_eq!(told.status, Status::Warn, "{name}");
        assert!(told.message.contains("--allow-outage"), "{}", told.message);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_is_allowed_does_not_abort_the_run_and_is_recorded() {
    for name in TAKE_PODS {
        let mut bed = the_only_pod();
        bed.allow_outage = true;
        let run = experiment(name, &of("one"), &bed.context()).expect("it is named");
        bed.server.answer_of_pod("pod/*", 200, "ok");
        let _controllers = controllers::start(&bed.server);
        let ended = bed.run_experiment(run).await;
        let outcome = ended.record["outcome"].as_str();
        assert_eq!(outcome, Some("completed"), "{name}: {:#}", ended.record);
        assert_eq!(ended.check("limit.survivors"), Some("warn"), "{name}");
        assert_eq!(bed.server.names("lease"), [""; 0], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_what_holds_data_wants_a_backup() {
    for (name, workload, at_stake) in [
        ("pod-failure", "db", true),
        ("scale-down", "db", true),
        ("pod-failure", "one", false),
        ("scale-down", "one", false),
    ] {
        let mut bed = the_only_pod();
        bed.server.add_all(application("Deployment", "db", 1));
        let claim = json!({ "persistentVolumeClaim": { "claimName": "data" } });
        let pods = json!({ "spec": mounting(&claim) });
        bed.server.edit("pod/db-0", &pods);
        bed.server
            .edit("deployment/db", &json!({ "spec": { "template": pods } }));
        bed.allow_outage = true;
        let context = bed.context();
        let experiment = experiment(name, &of(workload), &context).expect("it is named");
        let plan = experiment.plan(&context).await.expect(name);
        let found = experiment.data_at_stake(&context, &plan).await;
        assert_eq!(found.expect("known"), at_stake, "{name} {workload}");
    }
    // A database whose data are somewhere else than in a claim.
    let mut bed = the_only_pod();
    bed.config
        .push_str("[[workload]]\nname = \"one\"\nrole = \"database\"\n");
    for (outage, at_stake) in [(true, true), (false, false)] {
        bed.allow_outage = outage;
        bed.server.mend();
        let context = bed.context();
        let selected = if outage { of("one") } else { of("two") };
        if !outage {
            bed.server.add_all(application("Deployment", "two", 3));
        }
        let scale = experiment("scale-down", &selected, &context).expect("it is named");
        let plan = scale.plan(&context).await.expect("planned");
        let found = scale.data_at_stake(&context, &plan).await;
        assert_eq!(found.expect("known"), at_stake);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stress_pod_that_would_be_rejected_is_refused_in_the_plan_and_in_the_run() {
    let name = "resource-exhaustion";
    let nothing = Selection::default();
    for code in [403, 422] {
        let bed = TestBed::with(application("Deployment", "shop", 2));
        let plan = planned(&bed, name, &nothing).await.expect("planned");
        assert_eq!(refusals(&plan, ""), [""; 0]);
        bed.server.always("DRYRUN pods", Behaviour::Status(code));
        let plan = planned(&bed, name, &nothing).await.expect("planned");
        let refused = refusals(&plan, "limit.admission");
        assert_eq!(refused.len(), 1, "{code}: {:?}", plan.checks);
        assert!(refused[0].contains("would not be accepted"), "{refused:?}");
        let run = experiment(name, &nothing, &bed.context()).expect("it is named");
        let ended = bed.run_experiment(run).await;
        assert_eq!(ended.exit, Exit::Refused, "{:#}", ended.record);
        assert_eq!(bed.server.writes(), [""; 0], "nothing is touched");
    }
}
