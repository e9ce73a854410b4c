//! Tools that make and keep backups for people: each is asked what it has, and then to verify it.
//! They are judged by what they can prove, and what they did not prove is told.

mod account;
mod attempts;
mod cloudnative_pg;
mod kubernetes_list;
mod pgbackrest;
mod program;
mod restic;
mod velero;

use chaos_common::config::BackupTool;

use crate::context::Context;
use crate::source::Absent;

pub(crate) use self::account::Account;

/// Asks a tool. It waits for programs, disks and networks.
pub(crate) fn ask(tool: BackupTool, context: &Context) -> Result<Account, Absent> {
    match tool {
        BackupTool::PgBackRest(settings) => pgbackrest::ask(settings),
        BackupTool::CloudNativePg(settings) => cloudnative_pg::ask(settings, context),
        BackupTool::Velero(settings) => velero::ask(settings, context),
        BackupTool::Restic(settings) => restic::ask(settings),
    }
}

/// The place of its backups for people, and for checks as their object.
pub(crate) fn label(tool: BackupTool) -> String {
    match tool {
        BackupTool::PgBackRest(settings) => format!("pgbackrest:{}", settings.stanza),
        BackupTool::CloudNativePg(settings) => format!("cluster/{}", settings.cluster),
        BackupTool::Velero(settings) => match &settings.schedule {
            Some(schedule) => format!("velero:schedule/{schedule}"),
            None => "velero:backups".to_owned(),
        },
        BackupTool::Restic(settings) => format!("restic:{}", restic::plain(&settings.repository)),
    }
}
