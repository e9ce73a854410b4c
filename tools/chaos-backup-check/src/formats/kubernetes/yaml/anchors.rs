//! Anchors and aliases: what stands at an anchor is read again at each of its aliases.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::Event;

use super::{Node, YamlErrorKind};

/// Bytes that the anchors of one document may keep. kubectl writes none; people write few.
const MAX_KEPT: usize = 1 << 20;
/// What an event takes besides its text.
const EVENT: usize = 64;
/// Events that the aliases of one document may stand for.
const MAX_REPLAYED: usize = 100_000;

/// What stands at anchors, and what of it is read again.
#[derive(Default)]
pub(super) struct Anchors {
    whole: HashMap<usize, Rc<Vec<Node>>>,
    /// Those whose node has begun, the innermost last.
    open: Vec<Recording>,
    /// What is read again, the innermost last, and how far it is.
    replays: Vec<(Rc<Vec<Node>>, usize)>,
    kept: usize,
    replayed: usize,
}

struct Recording {
    id: usize,
    nodes: Vec<Node>,
    /// Maps and lists that are open in it.
    depth: usize,
}

impl Anchors {
    /// A new document begins.
    pub(super) fn clear(&mut self) {
        *self = Anchors::default();
    }

    /// The next event of what is read again, if there is any.
    pub(super) fn replayed(&mut self) -> Result<Option<Node>, YamlErrorKind> {
        while let Some((nodes, at)) = self.replays.last_mut() {
            let Some(node) = nodes.get(*at).cloned() else {
                self.replays.pop();
                continue;
            };
            *at += 1;
            self.replayed += 1;
            if self.replayed > MAX_REPLAYED {
                return Err(YamlErrorKind::TooMuch);
            }
            if let Event::Alias(id) = node {
                self.replay(id)?;
            } else {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// Takes an event as it comes; whether it is an alias, which other events stand for.
    pub(super) fn take(&mut self, node: &Node) -> Result<bool, YamlErrorKind> {
        let (anchor, opens) = match node {
            Event::Scalar(_, _, anchor, _) => (*anchor, 0),
            Event::SequenceStart(_, anchor, _) | Event::MappingStart(_, anchor, _) => (*anchor, 1),
            _ => (0, 0),
        };
        if anchor > 0 {
            self.open.push(Recording {
                id: anchor,
                nodes: Vec::new(),
                depth: 0,
            });
        }
        let closes = usize::from(matches!(node, Event::SequenceEnd | Event::MappingEnd));
        for recording in &mut self.open {
            self.kept += EVENT + node.scalar().map_or(0, |(text, _)| text.len());
            if self.kept > MAX_KEPT {
                return Err(YamlErrorKind::TooMuch);
            }
            recording.nodes.push(node.clone());
            recording.depth = (recording.depth + opens).saturating_sub(closes);
        }
        while let Some(recording) = self.open.pop_if(|recording| recording.depth == 0) {
            self.whole.insert(recording.id, Rc::new(recording.nodes));
        }
        if let Event::Alias(id) = node {
            self.replay(*id)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads what stands at an anchor once more. One that stands in itself has no end.
    fn replay(&mut self, id: usize) -> Result<(), YamlErrorKind> {
        let nodes = self.whole.get(&id).ok_or(YamlErrorKind::NoObject)?;
        self.replays.push((Rc::clone(nodes), 0));
        Ok(())
    }
}
