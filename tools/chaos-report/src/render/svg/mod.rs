//! Pictures in SVG: where each mark goes. A template writes them.
//!
//! Places from left to right are per cent of the picture's width, and places from top to bottom are
//! pixels, so that letters keep their size on a phone.

mod axis;
mod latency;
mod recovery;
mod review;
mod timeline;
mod usage;

use serde::Serialize;

pub(super) use self::review::draw as draw_review;
use crate::findings::pictures::Pictures;

/// Height of a line of letters.
const LINE: f64 = 18.0;
/// Height of a bar.
const BAR: f64 = 16.0;
/// Room below a row.
const GAP: f64 = 8.0;
/// Letters of a label; more would run out of a phone's screen.
const LABEL: usize = 44;

/// A picture.
#[derive(Debug, Default, Serialize)]
pub(super) struct Drawing {
    id: &'static str,
    title: &'static str,
    /// What it shows, in which unit, and how that was measured.
    method: String,
    height: f64,
    shapes: Vec<Shape>,
    legend: Vec<Key>,
}

/// One mark.
#[derive(Debug, Serialize)]
#[serde(tag = "shape", rename_all = "lowercase")]
enum Shape {
    /// A bar. `label` is told where it is pointed at.
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        class: &'static str,
        label: String,
    },
    /// Letters.
    Text {
        x: f64,
        y: f64,
        anchor: &'static str,
        class: &'static str,
        text: String,
    },
    /// A straight line.
    Line {
        x1: f64,
        y1: f64,
        x2: f64,
        y2: f64,
        class: &'static str,
    },
    /// A point: a triangle, or a ring.
    Mark {
        x: f64,
        y: f64,
        class: &'static str,
        label: String,
    },
    /// A line through points, in a box of 1000 by 100.
    Curve {
        y: f64,
        height: f64,
        class: &'static str,
        points: String,
    },
}

/// What a sort of mark means.
#[derive(Debug, Serialize)]
struct Key {
    class: &'static str,
    text: &'static str,
}

/// All pictures that there is something to draw of.
pub(super) fn draw(pictures: &Pictures) -> Vec<Drawing> {
    let Pictures {
        timeline,
        recovery,
        latency,
        usage,
    } = pictures;
    let all = [
        timeline.as_ref().map(timeline::draw),
        recovery.as_ref().map(recovery::draw),
        latency.as_ref().map(latency::draw),
        usage.as_ref().map(usage::draw),
    ];
    all.into_iter().flatten().collect()
}

impl Drawing {
    fn text(&mut self, (x, y): (f64, f64), anchor: &'static str, text: impl Into<String>) {
        let class = "note";
        let text = text.into();
        self.shapes.push(Shape::Text {
            x: two(x),
            y: two(y),
            anchor,
            class,
            text,
        });
    }

    /// A row's name and what is noted of it, above its bar; gives where the bar begins.
    fn label(&mut self, name: &str, note: &str) -> f64 {
        let y = self.height + LINE - 5.0;
        let text = cut(name, LABEL);
        self.shapes.push(Shape::Text {
            x: 0.0,
            y,
            anchor: "start",
            class: "name",
            text,
        });
        self.text((0.0, y + LINE - 3.0), "start", note);
        self.height += 2.0 * LINE;
        self.height
    }

    fn rect(&mut self, (from, to): (f64, f64), (y, height): (f64, f64), class: &'static str) {
        self.told_rect((from, to), (y, height), class, String::new());
    }

    fn told_rect(
        &mut self,
        (from, to): (f64, f64),
        (y, height): (f64, f64),
        class: &'static str,
        label: String,
    ) {
        let (x, width) = (two(from), two((to - from).max(0.0)));
        self.shapes.push(Shape::Rect {
            x,
            y: two(y),
            width,
            height: two(height),
            class,
            label,
        });
    }

    fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &'static str) {
        self.shapes.push(Shape::Line {
            x1: two(x1),
            y1: two(y1),
            x2: two(x2),
            y2: two(y2),
            class,
        });
    }

    fn mark(&mut self, (x, y): (f64, f64), class: &'static str, label: String) {
        self.shapes.push(Shape::Mark {
            x: two(x),
            y: two(y),
            class,
            label,
        });
    }

    /// Explains a sort of mark, if it is in the picture.
    fn key(&mut self, class: &'static str, text: &'static str) {
        let drawn = |shape: &Shape| match shape {
            Shape::Rect { class, .. } | Shape::Mark { class, .. } | Shape::Curve { class, .. } => {
                *class
            }
            Shape::Text { .. } | Shape::Line { .. } => "",
        };
        if self.shapes.iter().any(|shape| drawn(shape) == class) {
            self.legend.push(Key { class, text });
        }
    }
}

/// Two decimals are a hundredth of a per cent: more would only make the file larger.
fn two(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_short_ones_are_not() {
        assert_eq!(cut("backend", 7), "backend");
        assert_eq!(cut("backends", 7), "backen…");
    }
}
