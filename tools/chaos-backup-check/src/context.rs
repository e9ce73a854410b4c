//! What every part of the tool needs to know.

use std::sync::Arc;

use chaos_common::cluster::Access;
use chaos_common::config::{Config, Span};

use crate::progress::Readings;
use crate::source::claim::ClaimPods;

/// What a check needs to know besides its backup.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// The way to the cluster.
    pub(crate) access: Access,
    /// The application's namespace.
    pub(crate) namespace: String,
    /// The whole configuration.
    pub(crate) config: Arc<Config>,
    /// Where readers tell what they read.
    pub(crate) readings: Readings,
    /// The pods that read claims.
    pub(crate) claim_pods: ClaimPods,
    /// How long a backup that has not changed is trusted without being read again; not at all if
    /// `None`.
    pub(crate) trust_unchanged: Option<Span>,
}
