//! Use of the nodes before and after.

use super::{BAR, Drawing, GAP};
use crate::findings::pictures::{Usage, UsageRow};

pub(super) fn draw(usage: &Usage) -> Drawing {
    let mut drawing = Drawing {
        id: "usage",
        title: "Use of the nodes",
        method: "Per cent of what pods may use, by the metrics API: at the health check before, \
                 and at the verification after."
            .to_owned(),
        ..Drawing::default()
    };
    for row in &usage.rows {
        draw_row(&mut drawing, row);
    }
    drawing.key("before", "before");
    drawing.key("after", "after");
    drawing.key("unknown", "not known");
    drawing
}

fn draw_row(drawing: &mut Drawing, row: &UsageRow) {
    let percent = |share: Option<f64>| {
        share.map_or("not known".to_owned(), |share| {
            format!("{:.0} %", share * 100.0)
        })
    };
    let note = format!(
        "{} → {} of {}",
        percent(row.before),
        percent(row.after),
        row.unit
    );
    let mut y = drawing.label(&row.name, &note);
    for (class, share) in [("before", row.before), ("after", row.after)] {
        match share {
            Some(share) => {
                drawing.rect((0.0, 100.0), (y, BAR / 2.0), "room");
                let end = (100.0 * share).clamp(0.0, 100.0);
                drawing.rect((0.0, end), (y, BAR / 2.0), class);
            }
            None => drawing.rect((0.0, 100.0), (y, BAR / 2.0), "unknown"),
        }
        y += BAR / 2.0 + 3.0;
    }
    drawing.height = y + GAP;
}
