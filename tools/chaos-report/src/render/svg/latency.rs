//! How long answers took before, during and after the fault.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{Drawing, GAP, Shape};
use crate::findings::pictures::{Curve, Latency};

/// Height of a path's box.
const BOX: f64 = 64.0;

pub(super) fn draw(latency: &Latency) -> Drawing {
    let mut drawing = Drawing {
        id: "latency",
        title: "How long answers took",
        method: "Milliseconds to a good answer, from the moment at which the request was due, in \
                 windows of one length: median and slowest. Each path has a scale of its own, from \
                 0 up to its slowest answer; where no good answer came there is no line. The way \
                 from the vantage is in the figures."
            .to_owned(),
        ..Drawing::default()
    };
    let axis = Axis {
        from_ms: latency.from_ms,
        to_ms: latency.to_ms,
    };
    for curve in &latency.paths {
        draw_curve(&mut drawing, axis, curve, latency.disturbed_ms);
    }
    axis.draw(&mut drawing);
    drawing.key("median", "median");
    drawing.key("slowest", "slowest");
    drawing.key("disturbed", "from the fault to the steady state");
    drawing
}

fn draw_curve(drawing: &mut Drawing, axis: Axis, curve: &Curve, disturbed_ms: Option<f64>) {
    let note = format!("0 to {:.1} ms, from {}", curve.highest_ms, curve.vantage);
    let y = drawing.label(&curve.name, &note);
    let end = disturbed_ms.map_or(100.0, |end| axis.x(end));
    drawing.rect((axis.x(0.0), end), (y, BOX), "disturbed");
    drawing.line((0.0, y + BOX), (100.0, y + BOX), "grid");
    for (class, of) in [
        (
            "slowest",
            (|point| point.slowest) as fn(&crate::findings::pictures::Point) -> _,
        ),
        ("median", |point| point.median),
    ] {
        let values = curve.points.iter().map(|point| (point.at_ms, of(point)));
        for points in lines(axis, curve.highest_ms, values) {
            drawing.shapes.push(Shape::Curve {
                y,
                height: BOX,
                class,
                points,
            });
        }
    }
    drawing.height = y + BOX + GAP;
}

/// The points of each line: one ends where a value is missing.
fn lines(
    axis: Axis,
    highest: f64,
    values: impl Iterator<Item = (f64, Option<f64>)>,
) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (at_ms, value) in values {
        let (Some(value), Some(line)) = (value, lines.last_mut()) else {
            lines.push(String::new());
            continue;
        };
        let x = axis.x(at_ms) * 10.0;
        let y = 98.0 - 94.0 * value / highest.max(f64::MIN_POSITIVE);
        let _ = write!(line, "{x:.1},{y:.1} ");
        if line.matches(',').count() == 1 {
            // A window alone is a short stroke: a line of one point is not drawn.
            let _ = write!(line, "{:.1},{y:.1} ", x + 4.0);
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_answered_there_is_no_line() {
        let axis = Axis {
            from_ms: 0.0,
            to_ms: 3000.0,
        };
        let values = [(0.0, Some(10.0)), (1000.0, None), (2000.0, Some(0.0))];
        let lines = lines(axis, 10.0, values.into_iter());
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("0.0,4.0 "), "{lines:?}");
        assert!(lines[1].starts_with("666.7,98.0 "), "{lines:?}");
    }
}
