//! The workflow files of docs/ci.md where there is no cluster: no step hangs, and each tells.

use chaos_tests::run::Ran;
use chaos_tests::workflow;

use super::{dead_cluster, place_with_dead_cluster};

#[test]
fn without_a_cluster_jobs_fail_in_time_and_say_why() {
    let place = place_with_dead_cluster();
    place.file("chaos.toml", "[application]\nnamespace = \"shop\"\n");
    let kubeconfig = dead_cluster(&place);
    let kubeconfig = std::fs::read_to_string(kubeconfig).expect("just written");
    let (gitlab, allowed) = workflow::gitlab();
    assert_eq!(
        allowed,
        [4],
        "a refusal touches nothing, and nothing else may pass"
    );
    for job in [workflow::github(), gitlab] {
        let ran = job.run(&place, &kubeconfig);
        let shown = || ran.iter().map(Ran::show).collect::<String>();
        assert!(
            ran.iter()
                .any(|one| !matches!(one.exits_any(), Some(0 | 4))),
            "{}",
            shown()
        );
        let said: String = ran.iter().map(|one| one.stderr() + &one.stdout()).collect();
        assert!(said.contains("127.0.0.1:1"), "{}", shown());
        assert!(!said.contains("hunter2"), "{}", shown());
    }
}
