//! How long after the fault a URL answered as before again, as far as that can be proven.

use chaos_common::config::Performance;
use chaos_common::record::{Check, Experiment, Record, Status, Timing};

use super::load_check::object;
use super::significance::series::Series;
use super::significance::{self, FEWEST_WINDOWS, IN_A_ROW, Margins};

const ID: &str = "performance.return";

/// How a measurement lies to the end of the fault before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lateness {
    /// Length of a window, in seconds.
    width: f64,
    /// From the end of the fault to the start of the measurement, in seconds; none where no
    /// experiment is known or the measurement began before.
    since_fault: Option<f64>,
    /// Seconds after the end of the fault for which slowness is excused.
    limit: f64,
}

impl Lateness {
    /// The end of the fault is when everything that was hit was at its steady state again.
    pub(crate) fn of(
        now: &Timing,
        settings: &Performance,
        experiment: Option<&Record<Experiment>>,
    ) -> Lateness {
        let end = experiment.map(|record| record.data.restored.unwrap_or(record.data.ended));
        let started = now.load.as_ref().map(|load| load.started);
        #[allow(
            clippy::cast_precision_loss,
            reason = "milliseconds between two times of day"
        )]
        let since = started
            .zip(end)
            .map(|(started, end)| started.since_ms(end) as f64 / 1000.0);
        Lateness {
            width: now.window_ms.unwrap_or_default() / 1000.0,
            since_fault: since.filter(|since| *since >= 0.0),
            limit: settings.return_limit.0.as_secs_f64(),
        }
    }

    /// In windows of a second, so long after the end of a fault.
    #[cfg(test)]
    pub(super) const fn after(since_fault: Option<f64>, limit: f64) -> Lateness {
        Lateness {
            width: 1.0,
            since_fault,
            limit,
        }
    }

    /// When a window begins, from the start of the measurement, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "there are few windows")]
    pub(crate) fn seconds(self, window: usize) -> f64 {
        window as f64 * self.width
    }

    /// When a window begins, from the end of the fault, in seconds.
    fn after_fault(self, window: usize) -> Option<f64> {
        self.since_fault.map(|since| since + self.seconds(window))
    }

    /// Whether slowness before a window is excused: where no fault is known, none is.
    pub(crate) fn excuses(self, window: usize) -> bool {
        let after = self.after_fault(window);
        after.is_some_and(|after| after <= self.limit)
    }
}

/// `performance.return`, of which URL is not said yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Return {
    status: Status,
    message: String,
    hint: Option<&'static str>,
}

impl Return {
    pub(crate) fn on(self, now: &Timing) -> Check {
        let check = Check::new(ID, object(now), self.status, self.message);
        let check = check.from_vantage(&now.vantage);
        match self.hint {
            Some(hint) => check.hint(hint),
            None => check,
        }
    }
}

/// Since when times and failures are proven to be as before, up to the end of the measurement.
pub(crate) fn check(was: &Series, is: &Series, margins: Margins, lateness: Lateness) -> Return {
    let result = |status, message: String, hint| Return {
        status,
        message,
        hint,
    };
    let longer = Some("a longer --duration, or a higher rate, would tell");
    let windows = was.windows().min(is.windows());
    if windows < FEWEST_WINDOWS {
        let message = format!("{windows} windows of time are too few to tell since when");
        return result(Status::Unknown, message, longer);
    }
    let width = lateness.width;
    let Some(window) = significance::return_window(was, is, margins) else {
        let message = format!(
            "no {IN_A_ROW} windows of {width:.1} s in a row \
             were as quick and as good as those of the baseline"
        );
        let hint = "give it more time: a longer --duration shows when it returns";
        return result(Status::Fail, message, Some(hint));
    };
    let rest = match window {
        0 => significance::non_inferiority(was, is, margins),
        _ => significance::non_inferiority(was, &is.from(window + IN_A_ROW), margins),
    };
    let position = is.position(window);
    let into = lateness.seconds(position);
    let relapses = || significance::relapses(was, is, margins, window);
    match significance::worst(&rest) {
        Status::Pass => returned(lateness, position),
        status if status == Status::Fail || relapses() => {
            let message = format!(
                "looked as before {into:.1} s into the measurement, \
                 for {IN_A_ROW} windows of {width:.1} s, and was not so for the rest of it"
            );
            result(Status::Fail, message, None)
        }
        _ => {
            let message = format!(
                "looks as before from {into:.1} s into the measurement on, \
                 which so few requests do not prove"
            );
            result(Status::Unknown, message, longer)
        }
    }
}

/// It is proven to have returned with a window.
fn returned(lateness: Lateness, window: usize) -> Return {
    let (width, limit) = (lateness.width, lateness.limit);
    let (status, message) = match (window, lateness.after_fault(window)) {
        (0, Some(after)) => (
            Status::Pass,
            format!(
                "as before from the first window on, {after:.1} s after the end of the fault \
                 or sooner"
            ),
        ),
        (0, None) => (
            Status::Pass,
            "as before from the first window on".to_owned(),
        ),
        (_, Some(after)) if after > limit => (
            Status::Fail,
            format!(
                "as before only {after:.1} s after the end of the fault (give or take \
                 {width:.1} s); {limit:.0} s are allowed"
            ),
        ),
        (_, Some(after)) => (
            Status::Pass,
            format!(
                "as before {after:.1} s after the end of the fault (give or take {width:.1} s)"
            ),
        ),
        (_, None) => (
            Status::Pass,
            format!(
                "as before {:.1} s into the measurement; no fault is known that this is late after",
                lateness.seconds(window)
            ),
        ),
    };
    let late = status == Status::Fail;
    Return {
        status,
        message,
        hint: late.then_some("performance.return_limit is how long it may take"),
    }
}
