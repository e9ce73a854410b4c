//! A part of a review: fields, items, a table.

use serde::Serialize;

/// The most rows of a table.
const MOST_ROWS: usize = 200;
/// The most items of a list.
const MOST_ITEMS: usize = 30;

/// A part of it, under a heading.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    pub(crate) intro: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) items: Vec<String>,
    pub(crate) table: Option<Table>,
}

/// A name and what stands behind it.
#[derive(Debug, Serialize)]
pub(crate) struct Field {
    name: &'static str,
    values: Vec<String>,
}

/// Rows under a head.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Section {
    pub(super) fn new(heading: &'static str) -> Section {
        Section {
            heading,
            ..Section::default()
        }
    }

    pub(super) fn field(mut self, name: &'static str, values: Vec<String>) -> Section {
        self.fields.push(Field {
            name,
            values: cap(values),
        });
        self
    }

    pub(super) fn one(self, name: &'static str, value: String) -> Section {
        self.field(name, vec![value])
    }

    pub(super) fn intro(mut self, text: impl Into<String>) -> Section {
        self.intro = text.into();
        self
    }

    pub(super) fn items(mut self, items: Vec<String>) -> Section {
        self.items = cap(items);
        self
    }

    pub(super) fn table<const N: usize>(
        mut self,
        head: [&'static str; N],
        mut rows: Vec<[String; N]>,
    ) -> Section {
        let more = rows.len().saturating_sub(MOST_ROWS);
        if more > 0 {
            self.intro = format!("The last {MOST_ROWS}; {more} more are in the archive.");
            rows.drain(..more);
        }
        self.table = (!rows.is_empty()).then(|| Table {
            head: head.to_vec(),
            rows: rows.into_iter().map(Vec::from).collect(),
        });
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
            && self.items.is_empty()
            && self.table.is_none()
            && self.intro.is_empty()
    }
}

/// The first few of many, and how many more there are.
fn cap(mut values: Vec<String>) -> Vec<String> {
    let more = values.len().saturating_sub(MOST_ITEMS);
    if more > 0 {
        values.truncate(MOST_ITEMS);
        values.push(format!("and {more} more"));
    }
    values
}
