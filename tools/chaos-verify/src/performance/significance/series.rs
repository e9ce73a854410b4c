//! A measurement in windows of time, ready to be drawn from.

use anyhow::ensure;
use chaos_common::record::Timing;
use hdrhistogram::Histogram;

use super::random::Random;
use crate::performance::load::WindowCounts;
use crate::performance::load::figures::decode;

/// A measurement.
#[derive(Clone, Debug)]
pub struct Series {
    /// The times that occur, in milliseconds, in order.
    values: Vec<f64>,
    cells: Vec<Cell>,
    /// Windows drawn in one go.
    run: usize,
}

/// A window: how often which of the values occurs.
#[derive(Clone, Debug)]
struct Cell {
    /// Which window of the measurement it is, with those that are left out.
    position: usize,
    requests: u64,
    errors: u64,
    counts: Vec<(usize, u64)>,
    p95: Option<f64>,
}

/// So many failures of so many requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorCounts {
    errors: f64,
    requests: f64,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "numbers of requests are below 2^53"
)]
/// A number of requests, to calculate with.
pub fn number(count: u64) -> f64 {
    count as f64
}

impl Series {
    /// The measurement of a record.
    ///
    /// # Errors
    /// The record holds no windows, or they are broken.
    pub(crate) fn from_timing(timing: &Timing) -> anyhow::Result<Series> {
        let windows: anyhow::Result<Vec<WindowCounts>> = timing
            .windows
            .iter()
            .map(|window| {
                let times = decode(&window.histogram)?;
                ensure!(
                    times.len() + window.errors == window.requests,
                    "its windows contradict themselves"
                );
                Ok(WindowCounts {
                    requests: window.requests,
                    errors: window.errors,
                    times,
                })
            })
            .collect();
        let windows = windows?;
        ensure!(!windows.is_empty(), "it holds no windows of time");
        Ok(Series::new(&windows))
    }

    /// The measurement in these windows.
    pub fn new(windows: &[WindowCounts]) -> Series {
        let mut all: Vec<u64> = windows
            .iter()
            .flat_map(|window| values(&window.times))
            .map(|(value, _)| value)
            .collect();
        all.sort_unstable();
        all.dedup();
        let cell = |(position, window): (usize, &WindowCounts)| {
            let counts = values(&window.times)
                .map(|(value, count)| (all.partition_point(|other| *other < value), count));
            let p95 = (!window.times.is_empty())
                .then(|| middle(&window.times, window.times.value_at_quantile(0.95)));
            Cell {
                position,
                requests: window.requests,
                errors: window.errors,
                counts: counts.collect(),
                p95,
            }
        };
        // Stretches in which nothing fell due tell nothing.
        let cells: Vec<Cell> = windows
            .iter()
            .enumerate()
            .filter(|(_, window)| window.requests > 0)
            .map(cell)
            .collect();
        let values = all.iter().map(|value| number(*value) / 1000.0).collect();
        let mut series = Series {
            values,
            cells,
            run: 1,
        };
        series.run = series.length_of_runs();
        series
    }

    /// The part from a window on.
    pub(crate) fn from(&self, window: usize) -> Series {
        let mut part = Series {
            cells: self.cells.iter().skip(window).cloned().collect(),
            ..self.clone()
        };
        part.run = part.length_of_runs();
        part
    }

    /// How many windows there are.
    pub fn windows(&self) -> usize {
        self.cells.len()
    }

    /// How many runs the measurement consists of.
    pub(crate) fn runs(&self) -> f64 {
        number((self.cells.len() / self.run).max(2) as u64)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.cells.iter().map(|cell| cell.requests).sum()
    }

    /// Requests that were answered well.
    pub fn answers(&self) -> u64 {
        self.cells
            .iter()
            .map(|cell| cell.requests - cell.errors)
            .sum()
    }

    pub(crate) fn errors(&self) -> ErrorCounts {
        let errors = self.cells.iter().map(|cell| cell.errors).sum();
        ErrorCounts {
            errors: number(errors),
            requests: number(self.requests()),
        }
    }

    /// Which window of the measurement one is, with those in which nothing fell due.
    pub(crate) fn position(&self, at: usize) -> usize {
        self.cells.get(at).map_or(at, |cell| cell.position)
    }

    /// A window's 95th percentile and share of failures.
    pub(crate) fn window(&self, at: usize) -> (Option<f64>, f64) {
        let cell = &self.cells[at];
        (cell.p95, number(cell.errors) / number(cell.requests))
    }

    /// The quantiles, in milliseconds; zero where nothing was answered.
    pub fn quantiles(&self, quantiles: &[f64]) -> Vec<f64> {
        let mut counts = vec![0; self.values.len()];
        self.cells.iter().for_each(|cell| {
            cell.counts
                .iter()
                .for_each(|(value, count)| counts[*value] += count);
        });
        self.find(&counts, quantiles)
    }

    /// The quantiles of a draw of as many windows as there are.
    pub(crate) fn draw_times(&self, random: &mut Random, quantiles: &[f64]) -> Vec<f64> {
        let mut counts = vec![0; self.values.len()];
        for cell in self.drawn(random) {
            let each = cell.counts.iter();
            each.for_each(|(value, count)| counts[*value] += count);
        }
        self.find(&counts, quantiles)
    }

    /// The share of failures of a draw of as many windows as there are.
    pub(crate) fn draw_failures(&self, random: &mut Random) -> f64 {
        let (mut requests, mut errors) = (0, 0);
        for cell in self.drawn(random) {
            requests += cell.requests;
            errors += cell.errors;
        }
        number(errors) / number(requests.max(1))
    }

    /// As many windows as there are, drawn in runs of neighbours.
    fn drawn<'a>(&'a self, random: &'a mut Random) -> impl Iterator<Item = &'a Cell> {
        let windows = self.cells.len();
        let mut start = 0;
        (0..windows).map(move |drawn| {
            let step = drawn % self.run;
            if step == 0 {
                start = random.below(windows);
            }
            &self.cells[(start + step) % windows]
        })
    }

    /// Nearest rank: the smallest value that at least that share of the counts does not exceed.
    fn find(&self, counts: &[u64], quantiles: &[f64]) -> Vec<f64> {
        let all: u64 = counts.iter().sum();
        let (mut at, mut sum) = (0, counts.first().copied().unwrap_or_default());
        let mut find = |quantile: f64| {
            let rank = (quantile * number(all)).ceil().max(1.0);
            while number(sum) < rank && at + 1 < counts.len() {
                at += 1;
                sum += counts[at];
            }
            self.values.get(at).copied().unwrap_or_default()
        };
        quantiles.iter().map(|quantile| find(*quantile)).collect()
    }

    /// How many windows resemble each other: by the autocorrelation of neighbours, with Carlstein's
    /// rule; never more than a quarter of all.
    fn length_of_runs(&self) -> usize {
        let p95: Vec<f64> = self
            .cells
            .iter()
            .filter_map(|cell| cell.p95)
            .map(|ms| ms.max(1e-3).ln())
            .collect();
        let middle: Vec<f64> = self
            .cells
            .iter()
            .filter(|cell| cell.p95.is_some())
            .map(|cell| self.mean(cell))
            .collect();
        let likeness = autocorrelation(&p95)
            .max(autocorrelation(&middle))
            .clamp(0.0, 0.95);
        let windows = number(self.cells.len() as u64);
        let length = (windows.cbrt()
            * (2.0 * likeness / (1.0 - likeness * likeness)).powf(2.0 / 3.0))
        .max(windows.cbrt());
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is below the number of windows"
        )]
        let length = length.min(windows / 4.0).max(1.0) as usize;
        length
    }

    /// The mean of the logarithms of a window's times.
    fn mean(&self, cell: &Cell) -> f64 {
        let sum: f64 = cell
            .counts
            .iter()
            .map(|(value, count)| self.values[*value].max(1e-3).ln() * number(*count))
            .sum();
        sum / number(cell.requests - cell.errors).max(1.0)
    }
}

fn values(times: &Histogram<u32>) -> impl Iterator<Item = (u64, u64)> + '_ {
    times.iter_recorded().map(|bar| {
        (
            times.median_equivalent(bar.value_iterated_to()),
            bar.count_since_last_iteration(),
        )
    })
}

fn middle(times: &Histogram<u32>, value: u64) -> f64 {
    number(times.median_equivalent(value)) / 1000.0
}

/// Of neighbours in a series.
fn autocorrelation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / number(values.len().max(1) as u64);
    let of = |pairs: &mut dyn Iterator<Item = (&f64, &f64)>| {
        pairs.map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>()
    };
    let spread = of(&mut values.iter().zip(values));
    if spread > 0.0 {
        of(&mut values.iter().zip(values.iter().skip(1))) / spread
    } else {
        0.0
    }
}

impl ErrorCounts {
    /// Of a time without requests, in which nothing can have failed.
    pub(crate) const NONE: ErrorCounts = ErrorCounts {
        errors: 0.0,
        requests: f64::INFINITY,
    };

    pub(crate) fn share(self) -> f64 {
        self.errors / self.requests.max(1.0)
    }

    /// Bounds of how much greater `after` is, by Newcombe's hybrid of Wilson's score intervals.
    pub(crate) fn newcombe(self, after: ErrorCounts, z: f64) -> (f64, f64) {
        let ((low_before, high_before), (low_after, high_after)) =
            (self.wilson(z), after.wilson(z));
        let (before, after) = (self.share(), after.share());
        let difference = after - before;
        (
            difference - ((after - low_after).powi(2) + (high_before - before).powi(2)).sqrt(),
            difference + ((high_after - after).powi(2) + (before - low_before).powi(2)).sqrt(),
        )
    }

    fn wilson(self, z: f64) -> (f64, f64) {
        let (n, share) = (self.requests.max(1.0), self.share());
        let middle = share + z * z / (2.0 * n);
        let spread = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        (
            (middle - spread) / (1.0 + z * z / n),
            (middle + spread) / (1.0 + z * z / n),
        )
    }
}
