//! The forms that messages are filled into.

mod draft;
mod forms;
mod html;
mod message;
mod page;
mod text;
mod values;

pub(crate) use self::draft::Draft;
pub(crate) use self::forms::{Forms, TemplateError, Wording};
pub(crate) use self::html::{escape, html};
pub(crate) use self::message::{About, Alerts, Asks, Attachment, Message, Severity};
pub(crate) use self::page::Page;
pub(crate) use self::text::{NOT_KNOWN, cut, line, lines};
pub(crate) use self::values::{Clock, Values, contact_lines, contacts};
