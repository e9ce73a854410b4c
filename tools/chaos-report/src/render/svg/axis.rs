//! An axis of time, in seconds from the injection or from a deletion.

use super::{Drawing, GAP, LINE, Shape};

/// Steps between two ticks, in milliseconds.
const STEPS: [f64; 14] = [
    100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 1800e3,
];

/// The most ticks.
const TICKS: f64 = 6.0;

/// The axis from one moment to another, over the whole width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) from_ms: f64,
    pub(super) to_ms: f64,
}

impl Axis {
    /// Where a moment stands, in per cent of the width.
    pub(super) fn x(self, ms: f64) -> f64 {
        let width = (self.to_ms - self.from_ms).max(1.0);
        (100.0 * (ms - self.from_ms) / width).clamp(0.0, 100.0)
    }

    /// The moments that have a tick.
    pub(super) fn ticks(self) -> Vec<f64> {
        let width = self.to_ms - self.from_ms;
        let fits = |step: &&f64| width / **step <= TICKS;
        let step = STEPS.iter().find(fits).copied().unwrap_or(width / TICKS);
        let mut ticks = Vec::new();
        let mut tick = (self.from_ms / step).ceil() * step;
        while tick <= self.to_ms && ticks.len() < 20 {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }

    /// Draws it below everything, and its lines behind everything.
    pub(super) fn draw(self, drawing: &mut Drawing) {
        let bottom = drawing.height;
        let mut lines = Vec::new();
        for tick in self.ticks() {
            let x = self.x(tick);
            let class = if tick == 0.0 { "zero" } else { "grid" };
            lines.push(Shape::Line {
                x1: super::two(x),
                y1: 0.0,
                x2: super::two(x),
                y2: bottom,
                class,
            });
            let anchor = match x {
                x if x < 4.0 => "start",
                x if x > 96.0 => "end",
                _ => "middle",
            };
            drawing.text((x, bottom + LINE - 4.0), anchor, label(tick));
        }
        drawing.shapes.splice(0..0, lines);
        drawing.height = bottom + LINE + GAP;
    }
}

fn label(ms: f64) -> String {
    let seconds = ms / 1000.0;
    // Adding up leaves no minus before a nought.
    let seconds = if seconds == 0.0 { 0.0 } else { seconds };
    if seconds.abs() >= 600.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds.fract().abs() > 0.01 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "round numbers")]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_few_and_within() {
        let ticks = |from_ms, to_ms| Axis { from_ms, to_ms }.ticks();
        assert_eq!(
            ticks(-2000.0, 8000.0),
            [-2000.0, 0.0, 2000.0, 4000.0, 6000.0, 8000.0]
        );
        assert_eq!(ticks(-3000.0, 61_000.0), [0.0, 15e3, 30e3, 45e3, 60e3]);
        for width in [1.0, 900.0, 4321.0, 1e5, 1e7, 1e9] {
            assert!(ticks(0.0, width).len() <= 8, "{width}");
        }
    }

    #[test]
    fn what_is_outside_stays_at_the_edge() {
        let axis = Axis {
            from_ms: 0.0,
            to_ms: 1000.0,
        };
        assert_eq!(
            [axis.x(-1.0), axis.x(250.0), axis.x(5000.0)],
            [0.0, 25.0, 100.0]
        );
    }

    #[test]
    fn labels_carry_their_unit() {
        assert_eq!(
            [label(0.0), label(1500.0), label(-2000.0)],
            ["0 s", "1.5 s", "-2 s"]
        );
        assert_eq!(label(1_800_000.0), "30 min");
    }
}
