//! The steps of each pod's recovery.

use super::axis::Axis;
use super::{BAR, Drawing, GAP};
use crate::findings::pictures::{PodRow, Recovery};

/// A class for each step, so that the same step looks the same in each row.
const STEPS: [(&str, &str); 6] = [
    ("created", "step-1"),
    ("scheduled", "step-2"),
    ("started", "step-3"),
    ("ready", "step-4"),
    ("in endpoints", "step-5"),
    ("first answer", "step-6"),
];

pub(super) fn draw(recovery: &Recovery) -> Drawing {
    let mut drawing = Drawing {
        id: "recovery",
        title: "How each pod came back",
        method: "Seconds from the sending of the delete call, as watches and probes showed it. \
                 Each part of a bar lasts until its step was seen; the whisker below is by how much \
                 shorter the recovery may truly have been."
            .to_owned(),
        ..Drawing::default()
    };
    let axis = Axis {
        from_ms: 0.0,
        to_ms: recovery.to_ms,
    };
    for pod in &recovery.pods {
        draw_pod(&mut drawing, axis, pod);
    }
    axis.draw(&mut drawing);
    for (name, class) in STEPS {
        drawing.key(class, name);
    }
    drawing.key("unknown", "not seen to recover");
    drawing
}

fn draw_pod(drawing: &mut Drawing, axis: Axis, pod: &PodRow) {
    let y = drawing.label(&pod.name, &pod.note);
    let mut from = 0.0;
    for step in &pod.steps {
        let class = STEPS.iter().find(|(name, _)| *name == step.name);
        let class = class.map_or("step-1", |(_, class)| class);
        let label = format!("{} after {:.0} ms", step.name, step.end_ms);
        drawing.told_rect((axis.x(from), axis.x(step.end_ms)), (y, BAR), class, label);
        from = step.end_ms;
    }
    match pod.recovered_ms {
        Some(took) => {
            let below = y + BAR + 4.0;
            let (low, high) = (axis.x(took - pod.error_bound_ms), axis.x(took));
            drawing.line((low, below), (high, below), "whisker");
            drawing.line((low, below - 3.0), (low, below + 3.0), "whisker");
            drawing.line((high, below - 3.0), (high, below + 3.0), "whisker");
        }
        None => drawing.rect((axis.x(from), 100.0), (y, BAR), "unknown"),
    }
    drawing.height = y + BAR + GAP + 2.0;
}
