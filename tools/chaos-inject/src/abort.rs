//! What stops an experiment: a signal, a person elsewhere, a guard, the death of the guardian. The
//! first one counts, and is the reason that the record gives.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether somebody asked for the experiment to stop, and why.
pub type Abort = watch::Receiver<Option<String>>;

/// The other end: whoever holds it can stop the experiment.
#[derive(Clone, Debug)]
pub struct AbortSignal(watch::Sender<Option<String>>);

impl AbortSignal {
    /// An alarm, and what hears it.
    pub fn new() -> (AbortSignal, Abort) {
        let (sender, receiver) = watch::channel(None);
        (AbortSignal(sender), receiver)
    }

    /// Stops the experiment, if nothing has stopped it yet.
    pub fn raise(&self, why: impl Into<String>) {
        let why = why.into();
        self.0.send_if_modified(|now| {
            let first = now.is_none();
            if first {
                *now = Some(why);
            }
            first
        });
    }

    /// From now on, a signal that asks this process to end stops the experiment instead.
    pub fn on_signals(&self) {
        for (kind, name) in [
            (SignalKind::interrupt(), "interrupted (SIGINT)"),
            (SignalKind::terminate(), "asked to end (SIGTERM)"),
            (SignalKind::hangup(), "the terminal is gone (SIGHUP)"),
        ] {
            let alarm = self.clone();
            let mut signals = signal(kind).expect("these signals can be listened to");
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    alarm.raise(name);
                }
            });
        }
    }
}

/// Waits until somebody asks for the experiment to stop.
pub async fn raised(abort: &mut Abort) {
    if abort.wait_for(Option::is_some).await.is_err() {
        // Nobody is left who could.
        std::future::pending::<()>().await;
    }
}

/// Why it was asked to stop, if it was.
pub fn reason(abort: &Abort) -> Option<String> {
    abort.borrow().clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_counts_and_stays() {
        let (alarm, mut abort) = AbortSignal::new();
        assert_eq!(reason(&abort), None);
        alarm.raise("a guard");
        alarm.clone().raise("a person");
        raised(&mut abort).await;
        raised(&mut abort).await;
        assert_eq!(reason(&abort).as_deref(), Some("a guard"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_can_stop_any_more_is_not_stopped() {
        let (alarm, mut abort) = AbortSignal::new();
        drop(alarm);
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, raised(&mut abort)).await.is_err());
        assert_eq!(reason(&abort), None);
    }
}
