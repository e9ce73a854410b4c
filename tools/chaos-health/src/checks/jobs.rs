//! Did the Jobs do their work?

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Container;

use super::catalogue::Explanation;
use chaos_common::cluster::{Cluster, ListRequest, RUN_LABEL, ReadError};
use chaos_common::record::{Check, Status, Time};

/// `job.complete`
pub(super) const COMPLETE: Explanation = Explanation {
    id: "job.complete",
    asks: "Did the Jobs do their work?",
    judges: "Fails for a Job that has failed; of a CronJob's Jobs only the latest that ended \
             counts. Warns of one that goes on though pods of it have failed, and of a failed one \
             that ran one of these tools: its answer was about the application, and is asked \
             anew.",
    reads: "list jobs, cronjobs",
    remedy: "kubectl describe job; delete a failed Job once it is understood",
};

const ID: &str = COMPLETE.id;

/// What is kept of a Job.
#[derive(Clone, Debug)]
pub(super) struct JobSummary {
    name: String,
    /// The CronJob that made it.
    schedule: Option<String>,
    /// It runs one of these tools.
    ours: bool,
    born: Option<Time>,
    end: End,
}

#[derive(Clone, Debug, PartialEq)]
enum End {
    Complete,
    Failed(String),
    /// Suspended, or nothing has gone wrong so far.
    Open,
    /// It goes on, though so many of its pods have failed.
    Retrying(i32),
}

impl From<&Job> for JobSummary {
    fn from(job: &Job) -> JobSummary {
        let owners = job.metadata.owner_references.as_deref().unwrap_or_default();
        let status = job.status.as_ref();
        let conditions = status
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let is = |kind: &str| {
            conditions
                .iter()
                .find(|c| c.type_ == kind && c.status == "True")
        };
        let failed = status.and_then(|status| status.failed).unwrap_or(0);
        let end = if let Some(failed) = is("Failed").or_else(|| is("FailureTarget")) {
            let reason = failed.reason.as_deref().unwrap_or("no reason given");
            let message = failed
                .message
                .as_deref()
                .map(|message| format!(": {message}"))
                .unwrap_or_default();
            End::Failed(format!("{reason}{message}"))
        } else if is("Complete").is_some() {
            End::Complete
        } else if failed > 0 && is("Suspended").is_none() {
            End::Retrying(failed)
        } else {
            End::Open
        };
        JobSummary {
            name: job.metadata.name.clone().unwrap_or_default(),
            schedule: owners
                .iter()
                .find(|owner| owner.kind == "CronJob")
                .map(|owner| owner.name.clone()),
            ours: is_ours(job),
            born: job
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| Time(time.0)),
            end,
        }
    }
}

/// The programs of this collection.
const TOOLS: [&str; 6] = [
    "chaos-health",
    "chaos-backup-check",
    "chaos-verify",
    "chaos-inject",
    "chaos-notify",
    "chaos-report",
];

/// Whether a Job runs one of these tools: as its command, in a script, or as its image; or was made
/// by one, as its labels say.
fn is_ours(job: &Job) -> bool {
    let label = |name| job.metadata.labels.as_ref()?.get(name);
    let made_by = label("app.kubernetes.io/managed-by");
    if label(RUN_LABEL).is_some() || made_by.is_some_and(|by| TOOLS.contains(&by.as_str())) {
        return true;
    }
    let pods = job
        .spec
        .iter()
        .filter_map(|spec| spec.template.spec.as_ref());
    let words = |container: &Container| {
        let commands = [&container.command, &container.args].map(|part| part.iter().flatten());
        let commands: Vec<&str> = commands.into_iter().flatten().map(String::as_str).collect();
        let image = container.image.as_deref().unwrap_or_default();
        // Without the tag and the digest.
        let image = image.rsplit('/').next().unwrap_or_default();
        let image = image.split([':', '@']).next().unwrap_or_default();
        let mut words = commands
            .iter()
            .flat_map(|command| command.split([' ', '|', '\n', ';', '&']));
        let program = |word: &str| {
            word.rsplit('/')
                .next()
                .is_some_and(|name| TOOLS.contains(&name))
        };
        TOOLS.contains(&image) || words.any(program)
    };
    pods.flat_map(|spec| &spec.containers).any(words)
}

/// `job.complete`: every Job that has failed or fails, but of a CronJob's only the latest that has
/// ended.
pub(super) async fn examine(cluster: &Cluster, namespace: &str) -> Vec<Check> {
    let add = |jobs: &mut Vec<JobSummary>, job: Job| jobs.push(JobSummary::from(&job));
    let jobs = cluster.fold(ListRequest::namespaced(namespace), Vec::new, add);
    let add = |names: &mut Vec<String>, object: CronJob| names.extend(object.metadata.name);
    let (jobs, schedules) = futures::join!(
        jobs,
        cluster.fold(ListRequest::namespaced(namespace), Vec::new, add)
    );
    judge(&jobs, &schedules, namespace)
}

fn judge(
    jobs: &Result<Vec<JobSummary>, ReadError>,
    schedules: &Result<Vec<String>, ReadError>,
    namespace: &str,
) -> Vec<Check> {
    let object = format!("namespace/{namespace}");
    let (jobs, schedules) = match (jobs, schedules) {
        (Ok(jobs), Ok(schedules)) => (jobs, schedules),
        (Err(error), _) | (_, Err(error)) => return vec![error.check(ID, object)],
    };
    if jobs.is_empty() {
        return vec![Check::skipped(ID, object, "there are no Jobs")];
    }
    let mut latest: BTreeMap<&str, &JobSummary> = BTreeMap::new();
    let mut counted = Vec::new();
    for job in jobs {
        match job
            .schedule
            .as_deref()
            .filter(|name| schedules.iter().any(|schedule| schedule == name))
        {
            None => counted.push(job),
            Some(schedule) if matches!(job.end, End::Complete | End::Failed(_)) => {
                let last = latest.entry(schedule).or_insert(job);
                if job.born > last.born {
                    *last = job;
                }
            }
            Some(_) => {}
        }
    }
    counted.extend(latest.into_values());
    let mut checks: Vec<Check> = counted
        .into_iter()
        .filter_map(|job| {
            let (status, message) = match &job.end {
                End::Failed(why) if job.ours => (
                    Status::Warn,
                    format!("has failed, and ran one of these tools: {why}"),
                ),
                End::Failed(why) => (Status::Fail, format!("has failed: {why}")),
                End::Retrying(failed) => (
                    Status::Warn,
                    format!("goes on, though {failed} of its pods have failed"),
                ),
                End::Complete | End::Open => return None,
            };
            let object = match &job.schedule {
                Some(schedule) => format!("cronjob/{schedule}"),
                None => format!("job/{}", job.name),
            };
            let message = if job.schedule.is_some() {
                format!("its latest job/{} {message}", job.name)
            } else {
                message
            };
            Some(
                Check::new(ID, object, status, message)
                    .hint(format!("kubectl describe job {} -n {namespace}", job.name)),
            )
        })
        .collect();
    if !checks.iter().any(Check::is_bad) {
        let message = format!("none of {} Jobs has failed that counts", jobs.len());
        checks.insert(0, Check::pass(ID, object, message));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(container: &str) -> bool {
        let yaml = format!(
            "{{metadata: {{name: j}}, spec: {{template: {{spec: {{containers: [{{name: c, {container}}}]}}}}}}}}"
        );
        is_ours(&serde_saphyr::from_str(&yaml).expect("a Job"))
    }

    #[test]
    fn a_job_that_runs_one_of_these_tools_is_known() {
        assert!(ours(
            "image: tools, command: [/usr/local/bin/chaos-health, -n, shop]"
        ));
        assert!(ours(
            "image: tools, command: [sh, -c], args: ['chaos-health|chaos-verify baseline']"
        ));
        assert!(ours(
            "image: 'registry:5000/team/chaos-backup-check:1@sha256:0'"
        ));
        assert!(!ours("image: shop, command: [migrate, --health]"));
        assert!(!ours("image: shop, args: [import, my-chaos-health-data]"));
    }

    #[test]
    fn a_job_that_one_of_these_tools_made_is_known_by_its_labels() {
        let labelled = |labels: &str| {
            let yaml = format!("{{metadata: {{name: j, labels: {{{labels}}}}}}}");
            is_ours(&serde_saphyr::from_str(&yaml).expect("a Job"))
        };
        assert!(labelled("chaos-runbook/run: run-1"));
        assert!(labelled("app.kubernetes.io/managed-by: chaos-backup-check"));
        assert!(!labelled("app.kubernetes.io/managed-by: Helm"));
    }
}
