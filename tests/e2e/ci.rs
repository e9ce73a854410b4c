//! The workflow files of docs/ci.md, run as they stand on a real cluster.

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Place, Ran};
use chaos_tests::workflow;

use crate::pipeline::{Receivers, prepared};
use crate::shop::left;

/// The place of a job: a configuration of the shop, and a kubeconfig as the secret of the project.
fn checked_out(cluster: &Cluster, place: Place) -> (Place, String) {
    let config = cluster.place.path().join("chaos.toml");
    let text = std::fs::read_to_string(config).expect("it is there");
    // A checkout has its own; backups and reports stay where they are.
    let there = format!("\"{}/", cluster.place.path().display());
    // What was drilled before is known by the machine's state, which a job does not have.
    let evidence = place.path().join(".local/state/chaos/drills");
    let evidence = format!("evidence = \"{}\" ", evidence.display());
    let text = text.replace("# evidence = \"/backup/drills\"", &evidence);
    let text = text.replace("# evidence = \"backup/drills\"", &evidence);
    place.file(
        "chaos.toml",
        &text.replace("\"backup/", &format!("{there}backup/")),
    );
    let kubeconfig = cluster.kubectl(&["config", "view", "--raw", "--flatten"]);
    (place, kubeconfig)
}

/// The files in a folder of the place whose names end so.
fn files(place: &Place, folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(place.path().join(folder))
        .into_iter()
        .flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ends = paths.filter(|path| path.to_string_lossy().ends_with(ending));
    ends.map(|path| std::fs::read_to_string(path).expect("readable"))
        .collect()
}

fn shown(ran: &[Ran]) -> String {
    ran.iter().map(Ran::show).collect()
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_workflow_files_run_as_they_stand() {
    let (cluster, place) = prepared();
    let _receivers = Receivers::start(&cluster);
    let (place, kubeconfig) = checked_out(&cluster, place);
    let good = |ran: &[Ran]| ran.iter().all(|one| one.exits_any() == Some(0));
    // What a machine that is busy with other tests can't ask in time can't be told.
    let mut ran = Vec::new();
    for _ in 0..4 {
        cluster.whole();
        ran = workflow::github().run(&place, &kubeconfig);
        if good(&ran) {
            break;
        }
        println!("{}", shown(&ran));
    }
    assert!(good(&ran), "{}", shown(&ran));
    let summary = std::fs::read_to_string(place.path().join("summary.md")).expect("a summary");
    assert!(summary.contains("pod-failure"), "{summary}");
    let results = files(&place, "reports", ".junit.xml").concat();
    assert!(results.contains("pod-failure.recreated"), "{results}");
    assert_eq!(left(&cluster), "");
    a_refused_run_is_a_warning_and_no_failure(&cluster, &place, &kubeconfig);
}

/// With a lock, nothing is touched.
fn a_refused_run_is_a_warning_and_no_failure(cluster: &Cluster, place: &Place, kubeconfig: &str) {
    cluster.whole();
    place
        .tool("chaos-inject", &["lock", "--reason", "a test"])
        .exits(0);
    let ran = workflow::github().run(place, kubeconfig);
    let (gitlab, allowed) = workflow::gitlab();
    let on_gitlab = gitlab.run(place, kubeconfig);
    place.tool("chaos-inject", &["unlock"]).exits(0);
    let said: String = ran.iter().map(Ran::stdout).collect();
    assert!(said.contains("::warning::"), "{}", shown(&ran));
    assert!(
        ran.iter().all(|one| one.exits_any() == Some(0)),
        "{}",
        shown(&ran)
    );
    let status = on_gitlab[0].exits_any().expect("a status");
    assert!(
        allowed.contains(&i64::from(status)),
        "{}",
        shown(&on_gitlab)
    );
    assert_eq!(
        on_gitlab.len(),
        2,
        "what comes after it is run all the same"
    );
}
