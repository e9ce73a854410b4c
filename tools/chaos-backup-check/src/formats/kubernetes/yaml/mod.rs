//! YAML as kubectl reads it, for serde: the parser knows the syntax, [`Scalar`] what a scalar means,
//! and this puts both together.
//!
//! It holds no more than the node that is read. Errors say where, and repeat no value: it may be a
//! secret.

mod anchors;
mod error;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::BufRead;

use granit_parser::{Event, FallibleBufferedInput, Options, Parser, ScalarStyle, Tag};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use self::anchors::Anchors;
pub(super) use self::error::{YamlError, YamlErrorKind};
use super::base64::from_base64;
use super::chars::Chars;
use super::scalar::{Scalar, float_key};

/// Maps and lists that may stand in each other.
const MAX_DEPTH: usize = 100;

type Node = Event<'static>;
type Input<R> = FallibleBufferedInput<Chars<R>>;

/// The documents of a stream.
pub(super) struct Yaml<R: BufRead> {
    parser: Parser<'static, Input<R>>,
    peeked: Option<Node>,
    anchors: Anchors,
    /// Line and column of what was read last.
    at: (usize, usize),
    depth: usize,
}

impl<R: BufRead> Yaml<R> {
    pub(super) fn new(reader: R) -> Yaml<R> {
        let input = FallibleBufferedInput::new(Chars::new(reader));
        let mut options = Options::default();
        // They would be kept until what they stand before is known.
        options.set_emit_comments(false);
        Yaml {
            parser: Parser::with_options(input, options),
            peeked: None,
            anchors: Anchors::default(),
            at: (1, 1),
            depth: 0,
        }
    }

    /// Whether another document follows; those with nothing in them are passed over.
    pub(super) fn begins(&mut self) -> Result<bool, YamlError> {
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(false),
                Event::DocumentStart(..) => {
                    self.anchors.clear();
                    if !self.is_null()? {
                        return Ok(true);
                    }
                    self.next()?;
                }
                _ => {}
            }
        }
    }

    fn error(&self, kind: YamlErrorKind) -> YamlError {
        YamlError::at(kind, self.at)
    }

    fn next(&mut self) -> Result<Node, YamlError> {
        if let Some(node) = self.peeked.take() {
            return Ok(node);
        }
        loop {
            if let Some(node) = self.anchors.replayed().map_err(|kind| self.error(kind))? {
                return Ok(node);
            }
            let cut = self.error(YamlErrorKind::Syntax);
            let (node, span) = match self.parser.next_event() {
                None => return Err(cut),
                Some(Err(error)) => {
                    let at = error.marker();
                    return Err(YamlError::at(
                        YamlErrorKind::Syntax,
                        (at.line(), at.col() + 1),
                    ));
                }
                Some(Ok(event)) => event,
            };
            self.at = (span.start.line(), span.start.col() + 1);
            let taken = self.anchors.take(&node).map_err(|kind| self.error(kind))?;
            if !taken && is_content(&node) {
                return Ok(node);
            }
        }
    }

    fn peek(&mut self) -> Result<&Node, YamlError> {
        let node = self.next()?;
        Ok(self.peeked.insert(node))
    }

    fn is_null(&mut self) -> Result<bool, YamlError> {
        Ok(match self.peek()? {
            Event::Scalar(text, ScalarStyle::Plain, _, None) => Scalar::of(text) == Scalar::Null,
            _ => false,
        })
    }

    fn deeper(&mut self) -> Result<(), YamlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(YamlErrorKind::TooMuch));
        }
        Ok(())
    }

    /// Reads a key; `None` at the end of the map. `keys` are those that came before.
    fn key(&mut self, keys: &mut HashSet<String>) -> Result<Option<String>, YamlError> {
        let (text, style, tag) = match self.next()? {
            Event::MappingEnd => return Ok(None),
            Event::Scalar(text, style, _, tag) => (text, style, tag),
            _ => return Err(self.error(YamlErrorKind::NoObject)),
        };
        if text == "<<" && style == ScalarStyle::Plain {
            return Err(self.error(YamlErrorKind::Merge));
        }
        let (scalar, text) = self.scalar(text, style, tag.as_deref())?;
        let key = match scalar {
            Scalar::Text => text.into_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value.to_string(),
            Scalar::Float(value) => float_key(value),
            Scalar::Null | Scalar::Uint(_) => return Err(self.error(YamlErrorKind::NoObject)),
        };
        if !keys.insert(key.clone()) {
            return Err(self.error(YamlErrorKind::KeyTwice));
        }
        Ok(Some(key))
    }

    /// What a scalar means, and its text if that is what it means.
    fn scalar(
        &self,
        text: Cow<'static, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
    ) -> Result<(Scalar, Cow<'static, str>), YamlError> {
        let meant = match tag {
            None if style == ScalarStyle::Plain => Scalar::of(&text),
            None => Scalar::Text,
            Some(tag) => match tag.core_suffix() {
                Some("null" | "bool" | "int" | "float") => Scalar::of(&text),
                _ if tag.original().ends_with("binary") => {
                    let bytes = from_base64(&text);
                    let bytes = bytes.ok_or_else(|| self.error(YamlErrorKind::NoObject))?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    return Ok((Scalar::Text, Cow::Owned(text)));
                }
                _ => Scalar::Text,
            },
        };
        match meant {
            // JSON has no such number, which kubectl makes of the file.
            Scalar::Float(value) if !value.is_finite() => Err(self.error(YamlErrorKind::NoObject)),
            meant => Ok((meant, text)),
        }
    }

    /// Reads past a node, and whether it is one that kubectl takes.
    fn skip(&mut self) -> Result<(), YamlError> {
        // The keys of each map that is open, and `None` for a list.
        let mut open: Vec<Option<HashSet<String>>> = Vec::new();
        loop {
            if let Some(Some(keys)) = open.last_mut()
                && self.key(keys)?.is_none()
            {
                open.pop();
                if open.is_empty() {
                    return Ok(());
                }
                continue;
            }
            match self.next()? {
                Event::MappingStart(..) => open.push(Some(HashSet::new())),
                Event::SequenceStart(..) => open.push(None),
                Event::SequenceEnd => drop(open.pop()),
                Event::Scalar(text, style, _, tag) => {
                    self.scalar(text, style, tag.as_deref())?;
                }
                _ => return Err(self.error(YamlErrorKind::Syntax)),
            }
            if open.is_empty() {
                return Ok(());
            }
            if open.len() > MAX_DEPTH {
                return Err(self.error(YamlErrorKind::TooMuch));
            }
        }
    }
}

/// Whether an event is part of what the file says, and not of how it is laid out.
fn is_content(node: &Node) -> bool {
    matches!(
        node,
        Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd
    )
}

impl<'de, R: BufRead> Deserializer<'de> for &mut Yaml<R> {
    type Error = YamlError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.next()? {
            Event::Scalar(text, style, _, tag) => {
                let (scalar, text) = self.scalar(text, style, tag.as_deref())?;
                let value = match scalar {
                    Scalar::Null => visitor.visit_unit(),
                    Scalar::Bool(value) => visitor.visit_bool(value),
                    Scalar::Int(value) => visitor.visit_i64(value),
                    Scalar::Uint(value) => visitor.visit_u64(value),
                    Scalar::Float(value) => visitor.visit_f64(value),
                    Scalar::Text => visitor.visit_str(&text),
                };
                value.map_err(|error: YamlError| error.or_at(self.at))
            }
            Event::SequenceStart(..) => {
                self.deeper()?;
                let value = visitor.visit_seq(Items(self))?;
                self.depth -= 1;
                Ok(value)
            }
            Event::MappingStart(..) => {
                self.deeper()?;
                let value = visitor.visit_map(Entries {
                    yaml: self,
                    keys: HashSet::new(),
                })?;
                self.depth -= 1;
                Ok(value)
            }
            _ => Err(self.error(YamlErrorKind::Syntax)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        if self.is_null()? {
            self.next()?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The items of a list. A visitor reads all of them, or fails.
struct Items<'y, R: BufRead>(&'y mut Yaml<R>);

impl<'de, R: BufRead> SeqAccess<'de> for Items<'_, R> {
    type Error = YamlError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, YamlError> {
        if *self.0.peek()? == Event::SequenceEnd {
            self.0.next()?;
            return Ok(None);
        }
        seed.deserialize(&mut *self.0).map(Some)
    }
}

/// The entries of a map.
struct Entries<'y, R: BufRead> {
    yaml: &'y mut Yaml<R>,
    keys: HashSet<String>,
}

impl<'de, R: BufRead> MapAccess<'de> for Entries<'_, R> {
    type Error = YamlError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, YamlError> {
        let Some(key) = self.yaml.key(&mut self.keys)? else {
            return Ok(None);
        };
        let key: StrDeserializer<YamlError> = StrDeserializer::new(&key);
        let at = self.yaml.at;
        let read = seed.deserialize(key).map_err(|error| error.or_at(at));
        read.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, YamlError> {
        seed.deserialize(&mut *self.yaml)
    }
}
