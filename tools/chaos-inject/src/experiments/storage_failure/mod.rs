//! Storage failure: the workload that owns a volume goes to no pods at all, so that the volume is
//! unmounted, and back to the count that it had. A writer tries all the while; afterwards the
//! database has to know every write that it acknowledged.

mod data;
mod running;
mod volumes;

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::rights::to_query;
use chaos_common::config::{AlertSelector, Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Plan, PodSource};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Duration;

use self::running::Running;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::experiments::support::database_writer::Database;
use crate::permissions::need_one;
use crate::plan::Draft;
use crate::plan::losses::Holdings;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Experiment, RunningExperiment};

const NAME: &str = "storage-failure";

/// `[experiment.storage_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload that loses its storage, as `deployment/NAME` or `statefulset/NAME`; the
    /// database's if left out.
    pub workload: Option<String>,
    /// How long it is without storage.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for its pods to be ready again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<AlertSelector>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workload: None,
            duration: Span::seconds(10),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct StorageFailure {
    settings: Settings,
    workload: String,
}

impl StorageFailure {
    /// The database, if it is what loses its storage.
    fn database(&self, context: &Context) -> Option<Database> {
        let settings = context.config.database.as_ref()?;
        let named = workload::parse(&self.workload).ok()?;
        let ours = settings.workload.as_ref().map(|own| own.same_as(&named));
        ours.unwrap_or(false)
            .then(|| Database::new(&context.cluster, &context.namespace, settings))
    }
}

impl Definition for StorageFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Take the pods away that have the database's volume mounted";
    const FLAGS: &'static [Flag] = &[Flag::Workload, Flag::MaxShare];
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, config: &Config) -> Result<Self, Failure> {
        let database = config.database.as_ref();
        let database = database.and_then(|database| database.workload.as_ref());
        let database = database
            .filter(|pods| !matches!(pods, PodSource::Labels(_)))
            .map(ToString::to_string);
        let workload = selection
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .or(database);
        let workload = workload.ok_or_else(|| {
            Failure::usage("nothing names the workload that loses its storage").hint(
                "give --workload, or set experiment.storage_failure.workload or database.workload in chaos.toml",
            )
        })?;
        Ok(StorageFailure { settings, workload })
    }
}

#[async_trait(?Send)]
impl Experiment for StorageFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let target = Workload::read(context, namespace, &self.workload).await?;
        let claims = target.claims();
        let mut checks = target.checks.clone();
        checks.push(volumes::check(&volumes::read(context, &claims).await));
        let mut permissions = target.permissions.clone();
        permissions.extend(
            claims
                .iter()
                .map(|name| need_one(namespace, "get", "", "persistentvolumeclaims", name)),
        );
        permissions.push(need_one("", "get", "", "persistentvolumes", ""));
        let settings = context.config.database.as_ref();
        if let (Some(_), Some(settings)) = (self.database(context), settings) {
            permissions.extend(to_query(namespace, settings));
        }
        let radius = target.radius(target.ready);
        checks.extend(workload::whole(context, &[&radius]).await);
        let draft = Draft {
            experiment: NAME,
            targets: vec![target.target()],
            changes: vec![target.scale_to(0)],
            affected: [target.services.clone(), self.settings.affected.clone()].concat(),
            blast_radius: vec![radius],
            hold: self.settings.stop_limit.0.min(Duration::from_secs(1)) + self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            stop_limit: Some(self.settings.stop_limit.0),
            slack: data::WRITES_AGAIN,
            undo: format!("the replicas go back to {}", target.replicas),
            alerts: self.settings.alerts.clone(),
            holdings: Holdings::of_workload(context, &target, 0).await,
            permissions,
            checks,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(true)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let database = self.database(context);
        let running = Running::start(context, plan, (self, database)).await?;
        Ok(Box::new(running))
    }
}
