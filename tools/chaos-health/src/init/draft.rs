//! What was found of an application, and what came of asking it.

use chaos_common::config::{Database, Monitoring};
use chaos_health::discovery::Runner;

/// A Service, and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct FoundService {
    pub(super) name: String,
    pub(super) asked: Asked,
}

/// What is known of how a Service is asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// It answered well there.
    Well {
        port: u16,
        https: bool,
        path: String,
    },
    /// A path is known, and did not answer well: why.
    Badly {
        port: u16,
        https: bool,
        path: String,
        why: String,
    },
    /// No path is known: why.
    Unknown(String),
}

/// Monitoring, and of each system that could not be asked why.
#[derive(Clone, Debug)]
pub(super) struct FoundMonitoring {
    pub(super) monitoring: Monitoring,
    pub(super) closed: Vec<(&'static str, String)>,
}

/// A database, and the tables in it, or why it can't be asked.
#[derive(Clone, Debug)]
pub(super) struct FoundDatabase {
    pub(super) database: Database,
    pub(super) tables: Result<Vec<String>, String>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) namespace: String,
    pub(super) services: Vec<FoundService>,
    pub(super) workloads: Vec<Runner>,
    /// Workloads that an autoscaler scales.
    pub(super) scaled: Vec<String>,
    pub(super) monitoring: Option<FoundMonitoring>,
    pub(super) database: Option<FoundDatabase>,
    /// What could not be read.
    pub(super) unread: Vec<String>,
}

impl Draft {
    /// The workload that runs the database.
    pub(super) fn is_database(&self, runner: &Runner) -> bool {
        let found = self.database.as_ref();
        let workload = found.and_then(|found| found.database.workload.as_ref());
        workload.is_some_and(|pods| pods.same_as(&runner.name))
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        let asked = |service: &&FoundService| matches!(service.asked, Asked::Well { .. });
        let (services, workloads) = (self.services.len(), self.workloads.len());
        let answering = self.services.iter().filter(asked).count();
        let monitoring = match &self.monitoring {
            None => "no monitoring".to_owned(),
            Some(found) => format!("monitoring in namespace {}", found.monitoring.namespace),
        };
        let database = match &self.database {
            None => "no database".to_owned(),
            Some(found) => format!("a database in {}", found.database.place()),
        };
        format!(
            "{services} Services, {answering} of which answer, {workloads} workloads, {database}, \
             {monitoring}"
        )
    }
}
