//! The pictures of a review: how the runs came out, and how long they took to recover.

use super::axis::Axis;
use super::{BAR, Drawing, GAP, LINE};
use crate::review::{Outcomes, Pictures, RecoveryRow};

/// All pictures of a review that there is something to draw of.
pub(in crate::render) fn draw(pictures: &Pictures) -> Vec<Drawing> {
    let mut drawings = Vec::new();
    if !pictures.outcomes.is_empty() {
        drawings.push(outcomes(&pictures.outcomes));
    }
    if !pictures.recoveries.is_empty() {
        drawings.push(recoveries(&pictures.recoveries));
    }
    drawings
}

fn outcomes(rows: &[Outcomes]) -> Drawing {
    let mut drawing = Drawing {
        id: "outcomes",
        title: "How the experiments came out",
        method: "Experiments by the day of UTC on which they began. Neither successful nor failed \
                 are those that were refused, aborted, or came to no answer."
            .to_owned(),
        ..Drawing::default()
    };
    let all = |row: &Outcomes| row.successful + row.failed + row.neither;
    let most = rows.iter().map(all).max().unwrap_or(0).max(1);
    for row in rows {
        let text = match all(row) {
            0 => format!("{}: none", row.name),
            _ => format!("{}: {}", row.name, counts(row)),
        };
        drawing.text((0.0, drawing.height + LINE - 5.0), "start", text);
        let y = drawing.height + LINE;
        let mut from = 0.0;
        for (class, number) in [
            ("good", row.successful),
            ("bad", row.failed),
            ("unknown", row.neither),
        ] {
            let to = from + 100.0 * share(number, most);
            if number > 0 {
                drawing.rect((from, to), (y, BAR), class);
            }
            from = to;
        }
        drawing.line((0.0, y + BAR), (100.0, y + BAR), "grid");
        drawing.height = y + BAR + GAP;
    }
    drawing.key("good", "successful");
    drawing.key("bad", "failed");
    drawing.key("unknown", "neither");
    drawing
}

/// How many there are of each sort that there is.
fn counts(row: &Outcomes) -> String {
    let sorts = [
        (row.successful, "successful"),
        (row.failed, "failed"),
        (row.neither, "neither"),
    ];
    let some = sorts.iter().filter(|(number, _)| *number > 0);
    let texts: Vec<String> = some
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    texts.join(", ")
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no archive holds 2^52 experiments"
)]
fn share(number: usize, of: usize) -> f64 {
    number as f64 / of as f64
}

fn recoveries(rows: &[RecoveryRow]) -> Drawing {
    let mut drawing = Drawing {
        id: "recoveries",
        title: "How long recovery took",
        method:
            "Seconds of each run: its slowest pod, or, where no pod was replaced, from the end \
                 of the fault to the steady state. The bar holds the half of the runs in the \
                 middle where there are eight or more, the thin line all of them, and the thick mark is their median; up to 40 \
                 runs have a mark each."
                .to_owned(),
        ..Drawing::default()
    };
    let slowest = rows.iter().map(|row| row.all.1).fold(1000.0, f64::max);
    let axis = Axis {
        from_ms: 0.0,
        to_ms: 1.05 * slowest,
    };
    for row in rows {
        let y = drawing.label(&row.name, &row.note);
        let middle = y + BAR / 2.0;
        let at = |ms: f64| axis.x(ms);
        if let Some((from, to)) = row.middle {
            drawing.rect((at(from), at(to)), (y, BAR), "middle");
        }
        drawing.line((at(row.all.0), middle), (at(row.all.1), middle), "whisker");
        for ms in &row.runs {
            let label = format!("{:.1} s", ms / 1000.0);
            drawing.mark((at(*ms), middle), "run", label);
        }
        let median = (at(row.median), y - 2.0);
        drawing.line(median, (median.0, y + BAR + 2.0), "center");
        drawing.height = y + BAR + GAP;
    }
    axis.draw(&mut drawing);
    drawing.key("run", "a run");
    drawing.key("middle", "the half in the middle");
    drawing
}
