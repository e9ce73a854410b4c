//! A timer that rings on time: the runtime's own timer only counts whole milliseconds. Only Linux has
//! one that can be waited for like a connection; elsewhere the runtime's own rings, up to a
//! millisecond late, which is counted as such.

#[cfg(not(target_os = "linux"))]
pub(crate) use self::of_runtime::Timer;
#[cfg(target_os = "linux")]
pub(crate) use self::of_system::Timer;

#[cfg(target_os = "linux")]
mod of_system {
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::unix::AsyncFd;

    /// A timer of the operating system, waited for like a connection.
    pub(crate) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// Makes one, on this thread's runtime.
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe, for descriptors that are not owned; this one is"
        )]
        pub(crate) fn new() -> std::io::Result<Timer> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            Ok(Timer(AsyncFd::new(timerfd_create(
                TimerfdClockId::Monotonic,
                flags,
            )?)?))
        }

        /// Sets it; one that was set before is forgotten.
        pub(crate) fn set(&self, at: Instant) {
            // A timer of zero never rings.
            let left = at
                .saturating_duration_since(Instant::now())
                .max(Duration::from_nanos(1));
            let value = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let once = Itimerspec {
                it_interval: Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                },
                it_value: value,
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)
                .expect("the time is a valid one");
        }

        /// Waits until it rings.
        pub(crate) async fn expired(&self) {
            loop {
                let mut ready = self
                    .0
                    .readable()
                    .await
                    .expect("the runtime outlives its futures");
                let mut count = [0; 8];
                if ready
                    .try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut count)?))
                    .is_ok()
                {
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod of_runtime {
    use std::cell::Cell;
    use std::time::Instant;

    /// The runtime's timer.
    pub(crate) struct Timer(Cell<Instant>);

    impl Timer {
        /// Makes one.
        #[expect(clippy::unnecessary_wraps, reason = "the system's own may be refused")]
        pub(crate) fn new() -> std::io::Result<Timer> {
            Ok(Timer(Cell::new(Instant::now())))
        }

        /// Sets it; one that was set before is forgotten.
        pub(crate) fn set(&self, at: Instant) {
            self.0.set(at);
        }

        /// Waits until it rings.
        pub(crate) async fn expired(&self) {
            tokio::time::sleep_until(self.0.get().into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn it_rings_when_the_time_has_come_and_not_before() {
        let timer = Timer::new().expect("a process may have a timer");
        for wait in [
            Duration::from_micros(200),
            Duration::ZERO,
            Duration::from_millis(3),
        ] {
            let at = Instant::now() + wait;
            timer.set(at);
            timer.expired().await;
            assert!(Instant::now() >= at);
        }
    }
}
