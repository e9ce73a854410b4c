//! A run as other machines meet it: by what it wrote into the cluster.

use crate::change::apply;
use crate::safety::intent::Intent;
use crate::testing::objects::{NAMESPACE, RUN, deployment, intent, scale_to_zero};
use crate::testing::test_bed::TestBed;

/// What the run intends: to scale the shop to zero.
pub fn intent_of_shop() -> Intent {
    intent(&[scale_to_zero("shop", 3)], &["shop"])
}

/// A run declared its intent and scaled the shop to zero. Whether it lives, the test says.
pub async fn with_a_run() -> TestBed {
    let bed = TestBed::with([deployment("shop", 3)]);
    let (cluster, intent) = (bed.server.cluster(), intent_of_shop());
    let owners = intent.declare(&cluster).await.expect("declared");
    let (change, deadline) = (&intent.changes[0], intent.deadline());
    let applied = apply::apply(&cluster, change, RUN, &owners[NAMESPACE], deadline).await;
    applied.expect("applied");
    bed
}
