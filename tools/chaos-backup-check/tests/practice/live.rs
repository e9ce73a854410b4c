//! The comparison with the cluster does not vanish without a word.

use crate::place::{OBJECT, Place};

fn configured(live: &str) -> Place {
    let place = Place::new();
    place.file("a.yaml", OBJECT.as_bytes(), 1);
    place.config(&format!(
        "[[backup]]\nname = 'x'\nkind = 'kubernetes'\npath = 'a.yaml'\n{live}"
    ));
    place
}

#[test]
fn where_nothing_names_a_cluster_it_is_skipped_unless_it_is_wanted() {
    configured("")
        .run(&[])
        .exits(0)
        .says("backup.live", "a.yaml", "skipped", "kubeconfig");
    configured("live = true").run(&[]).exits(3).says(
        "backup.live",
        "a.yaml",
        "unknown",
        "kubeconfig",
    );
    configured("live = false").run(&[]).exits(0);
}

#[test]
fn a_kubeconfig_that_leads_nowhere_is_unknown() {
    let missing = configured("").env("KUBECONFIG", "/no/such/file");
    missing
        .run(&[])
        .exits(3)
        .says("backup.live", "a.yaml", "unknown", "/no/such/file");
    let broken = configured("");
    broken.file(".kube/config", b"{", 1);
    assert_eq!(
        broken.run(&[]).exits(3).check("backup.live", "a.yaml").0,
        "unknown"
    );
    let inside = configured("").env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    assert_eq!(
        inside.run(&[]).exits(3).check("backup.live", "a.yaml").0,
        "unknown"
    );
}

#[test]
fn a_proxy_that_is_down_is_unknown() {
    // Nobody listens on port 1.
    let place = configured("").env("HTTPS_PROXY", "http://127.0.0.1:1");
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: \
        {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: 'https://192.0.2.1:6443'}}], \
        users: [{name: u, user: {token: t}}]}";
    place.file(".kube/config", kubeconfig.as_bytes(), 1);
    assert_eq!(
        place.run(&[]).exits(3).check("backup.live", "a.yaml").0,
        "unknown"
    );
    let odd = configured("").env("HTTPS_PROXY", "no proxy at all");
    odd.file(".kube/config", kubeconfig.as_bytes(), 1);
    assert_eq!(
        odd.run(&[]).exits(3).check("backup.live", "a.yaml").0,
        "unknown"
    );
}
