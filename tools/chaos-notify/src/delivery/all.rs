//! All channels at the same time, until each is settled, its time is used up, or the tool is told
//! to stop.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use super::{Answer, Pace, Phase, Progress, Standing, Stop, Watch, deliver};
use crate::channels::Channel;
use crate::template::Message;

/// A channel that does not keep its deadline itself is left so much later.
const GRACE: Duration = Duration::from_secs(1);

/// A message that is ready to go on a channel.
pub(crate) struct Job<'a> {
    pub(crate) channel: &'a dyn Channel,
    pub(crate) pace: &'a Pace,
    pub(crate) message: &'a Message,
    /// Who is to get it, where the channel knows them by name.
    pub(crate) recipients: Vec<String>,
    pub(crate) watch: Watch,
}

/// What came of a job.
pub(crate) struct Sent {
    pub(crate) standing: Standing,
    pub(crate) tries: u32,
    /// Why there was no further try, where one was due.
    pub(crate) given_up: Option<String>,
    pub(crate) watch: Watch,
}

/// Sends everything, and says of each what became of it: in the order of the jobs.
pub(crate) async fn send(jobs: Vec<Job<'_>>) -> Vec<Sent> {
    let progress: Vec<Progress> = jobs
        .iter()
        .map(|job| Progress::new(&job.recipients))
        .collect();
    let each = jobs.iter().zip(&progress);
    let sending = join_all(each.map(|(job, progress)| until_deadline(job, progress)));
    let mut stop = Stop::listen();
    let (given_up, stopped) = tokio::select! {
        given_up = sending => (given_up, None),
        signal = stop.told() => (vec![None; progress.len()], Some(signal)),
    };
    let ended = jobs.into_iter().zip(progress).zip(given_up);
    let ended = ended.map(|((job, progress), given_up)| {
        if let Some(signal) = stopped {
            cut_short(&job, &progress, &format!("stopped by {signal}"));
        }
        Sent {
            standing: progress.standing.into_inner(),
            tries: progress.tries.get(),
            given_up,
            watch: job.watch,
        }
    });
    ended.collect()
}

async fn until_deadline(job: &Job<'_>, progress: &Progress) -> Option<String> {
    let attempt = async |pending: &[String]| {
        job.pace.turn().await;
        let trying = job.channel.attempt(job.message, pending, &job.watch);
        trying.await
    };
    let delivering = deliver(progress, &job.watch, attempt);
    let end = timeout(job.watch.left() + GRACE, delivering).await;
    end.unwrap_or_else(|_| {
        cut_short(job, progress, "the deadline came");
        None
    })
}

/// What is known of a message whose sending does not go on.
fn cut_short(job: &Job<'_>, progress: &Progress, why: &str) {
    let answer = match job.watch.phase() {
        Phase::Before => Answer::later(format!("{why} before it was sent")),
        Phase::Sending => Answer::unknown(format!("{why} while it was sent; it may have arrived")),
    };
    progress.standing.borrow_mut().learn(vec![answer]);
}
