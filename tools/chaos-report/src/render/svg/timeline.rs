//! The fault, what each path answered meanwhile, and the alerts, on one axis.

use super::axis::Axis;
use super::{BAR, Drawing, GAP};
use crate::findings::pictures::{AlertRow, PathRow, Phase, Slot, Timeline};

pub(super) fn draw(timeline: &Timeline) -> Drawing {
    let mut drawing = Drawing {
        id: "timeline",
        title: "The fault and what it did",
        method: "Seconds from the first write of the fault. Requests for each path, sent at a \
                 fixed rate, in windows of one length: the filled part of a bar is the share that \
                 was answered well, the hatched part the share that was not, the dotted part what could \
                 not be sent."
            .to_owned(),
        ..Drawing::default()
    };
    let axis = Axis {
        from_ms: timeline.from_ms,
        to_ms: timeline.to_ms,
    };
    for phase in &timeline.phases {
        draw_phase(&mut drawing, axis, phase);
    }
    for path in &timeline.paths {
        draw_path(&mut drawing, axis, path);
    }
    for alert in &timeline.alerts {
        draw_alert(&mut drawing, axis, alert);
    }
    axis.draw(&mut drawing);
    drawing.key("fault", "fault on");
    drawing.key("way-back", "until the steady state");
    drawing.key("good", "answered well");
    drawing.key("bad", "not answered well");
    drawing.key("unknown", "not known");
    drawing.key("fired", "alert fired");
    drawing.key("delivered", "alert in Alertmanager");
    drawing
}

fn draw_phase(drawing: &mut Drawing, axis: Axis, phase: &Phase) {
    let length = phase.to_ms.map(|to| (to - phase.from_ms) / 1000.0);
    let note = length.map_or_else(
        || "its end was not seen".to_owned(),
        |seconds| format!("{seconds:.1} s"),
    );
    let y = drawing.label(phase.name, &note);
    let is_fault = phase.name == "fault on";
    let class = if is_fault { "fault" } else { "way-back" };
    let from = axis.x(phase.from_ms);
    match phase.to_ms {
        Some(to) => drawing.rect((from, axis.x(to)), (y, BAR), class),
        None => drawing.rect((from, 100.0), (y, BAR), "unknown"),
    }
    drawing.height = y + BAR + GAP;
}

fn draw_path(drawing: &mut Drawing, axis: Axis, path: &PathRow) {
    let y = drawing.label(&path.name, &path.note);
    if path.windows.is_empty() {
        let label = "the record does not tell when which answers came".to_owned();
        drawing.told_rect((0.0, 100.0), (y, BAR), "unknown", label);
    }
    for stretch in stretches(&path.windows) {
        draw_slot(drawing, axis, y, &stretch);
    }
    drawing.height = y + BAR + GAP;
}

fn draw_slot(drawing: &mut Drawing, axis: Axis, top: f64, slot: &Slot) {
    let span = (axis.x(slot.from_ms), axis.x(slot.to_ms));
    let percent = |share: f64| 100.0 * share;
    let label = format!(
        "{:.0} to {:.0} s: {:.0} % answered well, {:.0} % not sent",
        slot.from_ms / 1000.0,
        slot.to_ms / 1000.0,
        percent(slot.good),
        percent(slot.unknown)
    );
    let bad = (1.0 - slot.good - slot.unknown).max(0.0);
    let mut y = top;
    for (class, share) in [("unknown", slot.unknown), ("bad", bad), ("good", slot.good)] {
        let height = BAR * share;
        // Nothing is left of a tenth of a pixel but its frame.
        if height > 0.1 {
            drawing.told_rect(span, (y, height), class, label.clone());
        }
        y += height;
    }
}

/// Windows with the same answer that follow on each other, as one.
#[expect(clippy::float_cmp, reason = "the ends of windows are whole numbers")]
fn stretches(windows: &[Slot]) -> Vec<Slot> {
    let mut stretches: Vec<Slot> = Vec::new();
    for window in windows {
        match stretches.last_mut() {
            Some(last)
                if (last.good, last.unknown) == (window.good, window.unknown)
                    && last.to_ms == window.from_ms =>
            {
                last.to_ms = window.to_ms;
            }
            _ => stretches.push(window.clone()),
        }
    }
    stretches
}

fn draw_alert(drawing: &mut Drawing, axis: Axis, alert: &AlertRow) {
    let y = drawing.label(&alert.name, &alert.note);
    let middle = y + BAR / 2.0;
    drawing.line((axis.x(0.0), middle), (100.0, middle), "grid");
    let marks = [("fired", alert.fired_ms), ("delivered", alert.delivered_ms)];
    for (class, at) in marks {
        if let Some(at) = at {
            let label = format!("{class} after {:.1} s", at / 1000.0);
            drawing.mark((axis.x(at), middle), class, label);
        }
    }
    drawing.height = y + BAR + GAP;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(from_s: f64, good: f64, unknown: f64) -> Slot {
        Slot {
            from_ms: from_s * 1000.0,
            to_ms: from_s * 1000.0 + 1000.0,
            good,
            unknown,
        }
    }

    #[test]
    fn windows_with_one_answer_are_one_bar_and_a_hole_is_none() {
        let all = [
            slot(0.0, 1.0, 0.0),
            slot(1.0, 1.0, 0.0),
            slot(2.0, 0.0, 1.0),
            slot(3.0, 0.5, 0.0),
            slot(5.0, 0.5, 0.0),
        ];
        let found: Vec<_> = stretches(&all)
            .iter()
            .map(|one| (one.from_ms, one.to_ms))
            .collect();
        assert_eq!(
            found,
            [
                (0.0, 2000.0),
                (2000.0, 3000.0),
                (3000.0, 4000.0),
                (5000.0, 6000.0)
            ]
        );
    }
}
