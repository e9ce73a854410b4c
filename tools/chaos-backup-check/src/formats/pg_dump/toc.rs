//! The table of contents of a custom-format dump (`ReadToc` in PostgreSQL's
//! `pg_backup_archiver.c`, `_ReadExtraToc` in `pg_backup_custom.c`).

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::BufRead;

use super::encoding::Encoding;
use super::header::{Form, Header};
use super::input::Input;
use super::parts::Parts;
use super::settings;
use crate::formats::error::FormatError;

/// Bytes that an entry has at least: its integers, and the lengths of its texts.
const MIN_ENTRY: u64 = 40;
/// Bytes of a name that are kept.
const KEEP_NAME: usize = 256;
/// Bytes of a list of oids that are kept: it has at most a thousand, of at most ten digits.
const KEEP_OIDS: usize = 64 << 10;
/// Bytes of a COPY statement that are kept: a table has at most 1600 columns, with names of at most
/// 63 bytes.
pub(super) const KEEP_COPY: usize = 1 << 20;

/// What is needed of the table of contents to judge the data.
#[derive(Debug, Default)]
pub(super) struct Toc {
    /// The entries that have data, in order.
    pub(super) data: Vec<Entry>,
    /// Tables that are defined.
    pub(super) tables: u64,
    /// Whether anything is defined at all, besides settings of the session.
    pub(super) defines: bool,
    /// Of text.
    pub(super) encoding: Encoding,
    /// The oids of the large objects, sorted.
    pub(super) blobs: Vec<u32>,
    /// Which tables are parts of others.
    pub(super) parts: Parts,
    /// The digest of all of it but the places of data.
    pub(super) digest: Option<blake3::Hash>,
    /// Ids of all entries.
    ids: HashSet<i32>,
    /// Digests of the names of all tables that are defined.
    names: HashSet<u64>,
    /// Whether an extension is among them, which may define tables that have data here.
    extensions: bool,
}

impl Toc {
    /// Whether it does not say where data is: it was written before the data, and not again.
    pub(super) fn has_no_places(&self) -> bool {
        let unknown = |entry: &Entry| matches!(entry.place, DataLocation::Offset(None));
        self.data.iter().all(unknown)
    }

    /// Tables whose data is in the dump.
    pub(super) fn tables_with_data(&self) -> usize {
        self.data
            .iter()
            .filter(|entry| entry.kind != Kind::Blobs)
            .count()
    }
}

/// An entry that has data.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) kind: Kind,
    /// The table's name with its schema; `large objects` for those.
    pub(super) name: String,
    /// Where the table of contents places the data.
    pub(super) place: DataLocation,
    /// The definitions that it needs.
    dependencies: Vec<i32>,
    /// The digest of the name of the table that its COPY statement fills.
    target: Option<u64>,
}

/// Where data is.
#[derive(Debug)]
pub(super) enum DataLocation {
    /// At this byte of the dump; `None` in a dump that was piped.
    Offset(Option<u64>),
    /// In this file of the folder.
    File(String),
}

/// What an entry's data is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows as COPY reads them, with so many columns; `None` if that could not be found out.
    Copy(Option<usize>),
    /// INSERT statements (`pg_dump --inserts`).
    Inserts,
    /// Large objects.
    Blobs,
}

/// Reads the table of contents.
pub(super) fn read<R: BufRead>(
    input: &mut Input<R>,
    header: &Header,
    form: Form,
) -> Result<Toc, FormatError> {
    let entries = header.entries.unsigned_abs();
    input.room_for(
        entries * MIN_ENTRY,
        input.position(),
        "the table of contents",
    )?;
    let mut toc = Toc::default();
    input.digest = Some(blake3::Hasher::new());
    for number in 1..=entries {
        let at = input.position();
        let in_entry = |error| match error {
            FormatError::Damaged(why) => FormatError::Damaged(format!(
                "{why} (entry {number} of {entries} in the table of contents)"
            )),
            other @ FormatError::CannotTell(_) => other,
        };
        let fields = read_fields(input, header.minor, form).map_err(in_entry)?;
        settings::check(&fields.desc, &fields.definition).map_err(in_entry)?;
        toc.note(&fields);
        input.encoding = toc.encoding;
        let id = fields.id;
        let entry = fields.into_entry(at).map_err(in_entry)?;
        if !i32::try_from(id).is_ok_and(|id| toc.ids.insert(id)) {
            return FormatError::damaged(format!(
                "is damaged at byte {at}: two entries have the id {id}"
            ));
        }
        toc.data.extend(entry);
    }
    toc.digest = input.digest.take().map(|digest| digest.finalize());
    toc.blobs.sort_unstable();
    toc.belongs_together()?;
    Ok(toc)
}

/// What is kept of the fields of one entry.
struct Fields {
    id: i64,
    tag: String,
    desc: String,
    section: i64,
    definition: String,
    copy: Option<String>,
    schema: String,
    /// Of an entry with a table's data.
    dependencies: Vec<i32>,
    place: Option<DataLocation>,
}

/// Reads the fields of one entry.
fn read_fields<R: BufRead>(
    input: &mut Input<R>,
    minor: u8,
    form: Form,
) -> Result<Fields, FormatError> {
    let at = input.position();
    let id = input.int_in(1..=i64::from(i32::MAX), "an id")?;
    let dumped = input.int_in(0..=1, "the mark of data")? == 1;
    decimal(input, "the oid of a catalogue")?;
    decimal(input, "an oid")?;
    let tag = name(input, "a name")?;
    let desc = name(input, "the kind of an entry")?;
    let section = input.int_in(1..=4, "a section")?;
    // From PostgreSQL 17 on, a thousand large objects are one entry, whose definition is their
    // oids.
    let keep = match desc.as_str() {
        "BLOB METADATA" => KEEP_OIDS,
        // What it is part of stands at its end.
        "TABLE" | "FOREIGN TABLE" | "TABLE ATTACH" => KEEP_COPY,
        _ => KEEP_NAME,
    };
    let definition = input.text(keep, "a definition")?.unwrap_or_default();
    input.text(0, "a drop statement")?;
    let copy = input
        .text(KEEP_COPY, "a COPY statement")?
        .filter(|copy| !copy.is_empty());
    let schema = name(input, "the name of a schema")?;
    input.text(0, "the name of a tablespace")?;
    if minor >= 14 {
        input.text(0, "an access method")?;
    }
    if minor >= 16 {
        input.int_in(0..=127, "the kind of a relation")?;
    }
    input.text(0, "an owner")?;
    with_oids(input)?;
    let mut dependencies = Vec::new();
    while let Some(id) = dependency(input)? {
        if desc == "TABLE DATA" {
            dependencies.push(id);
        }
    }
    let digest = input.digest.take();
    let place = place(input, form)?;
    input.digest = digest;
    if place.is_some() != dumped {
        return FormatError::damaged(format!(
            "is damaged behind byte {at}: the marks of data contradict each other"
        ));
    }
    Ok(Fields {
        id,
        tag,
        desc,
        section,
        definition,
        copy,
        schema,
        dependencies,
        place,
    })
}

impl Fields {
    /// The entry, if it has data. `at` is where its fields begin.
    fn into_entry(self, at: u64) -> Result<Option<Entry>, FormatError> {
        let Some(place) = self.place else {
            return Ok(None);
        };
        let mut target = None;
        let (kind, name) = match (self.desc.as_str(), self.copy) {
            ("TABLE DATA", Some(copy)) => {
                target = target_of(&copy).map(|[schema, table]| digest(&[&schema, &table]));
                let name = qualified(&self.schema, &self.tag);
                (Kind::Copy(columns(&copy)), name)
            }
            ("TABLE DATA", None) => (Kind::Inserts, qualified(&self.schema, &self.tag)),
            ("BLOBS", _) => (Kind::Blobs, "large objects".to_owned()),
            (desc, _) => {
                return FormatError::damaged(format!(
                    "is damaged behind byte {at}: an entry of kind {desc:?} has data, \
                     which only tables and large objects have"
                ));
            }
        };
        Ok(Some(Entry {
            id: self.id,
            kind,
            name,
            place,
            dependencies: self.dependencies,
            target,
        }))
    }
}

/// `SECTION_PRE_DATA`.
const PRE_DATA: i64 = 2;

pub(super) fn qualified(schema: &str, table: &str) -> String {
    if schema.is_empty() {
        table.to_owned()
    } else {
        format!("{schema}.{table}")
    }
}

fn name<R: BufRead>(input: &mut Input<R>, what: &str) -> Result<String, FormatError> {
    Ok(input.text(KEEP_NAME, what)?.unwrap_or_default())
}

fn decimal<R: BufRead>(input: &mut Input<R>, what: &str) -> Result<(), FormatError> {
    let at = input.position();
    match input.text(KEEP_NAME, what)? {
        Some(text) if is_number(&text) => Ok(()),
        _ => FormatError::damaged(format!("is damaged at byte {at}: {what} is not a number")),
    }
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn with_oids<R: BufRead>(input: &mut Input<R>) -> Result<(), FormatError> {
    let at = input.position();
    match input.text(KEEP_NAME, "the mark of oids")?.as_deref() {
        Some("true" | "false") => Ok(()),
        _ => FormatError::damaged(format!(
            "is damaged at byte {at}: the mark of oids is neither true nor false"
        )),
    }
}

/// Reads one dependency; `None` at the end of their list. The id need not be in the dump: `pg_dump`
/// leaves out entries that were not asked for, and not what refers to them.
fn dependency<R: BufRead>(input: &mut Input<R>) -> Result<Option<i32>, FormatError> {
    let at = input.position();
    match input.text(KEEP_NAME, "a dependency")? {
        None => Ok(None),
        Some(text) => match text.parse::<i32>() {
            Ok(id) if id > 0 && is_number(&text) => Ok(Some(id)),
            _ => FormatError::damaged(format!(
                "is damaged at byte {at}: a dependency is not a number"
            )),
        },
    }
}

/// Where an entry's data is, if it has any.
fn place<R: BufRead>(
    input: &mut Input<R>,
    form: Form,
) -> Result<Option<DataLocation>, FormatError> {
    let at = input.position();
    if form == Form::Directory {
        let name = input
            .text(KEEP_NAME, "the file of its data")?
            .filter(|name| !name.is_empty());
        return match name {
            Some(name) if name.contains('/') || name.starts_with('.') => FormatError::damaged(
                format!("is damaged at byte {at}: {name:?} is not the name of a file with data"),
            ),
            name => Ok(name.map(DataLocation::File)),
        };
    }
    let state = input.byte("the place of its data")?;
    let offset = input.little_endian(input.off_size, "the place of its data")?;
    match (state, offset) {
        (1, 0) => Ok(Some(DataLocation::Offset(None))),
        (2, _) => Ok(Some(DataLocation::Offset(Some(offset)))),
        (3, 0) => Ok(None),
        (1 | 3, _) => FormatError::damaged(format!(
            "is damaged at byte {at}: data has the place {offset}, and a mark that it has none"
        )),
        (other, _) => FormatError::damaged(format!(
            "is damaged at byte {at}: the place of data cannot have the mark {other}"
        )),
    }
}

impl Toc {
    /// Adds what an entry says of the whole.
    fn note(&mut self, fields: &Fields) {
        match fields.desc.as_str() {
            "ENCODING" => self.encoding = Encoding::set_by(&fields.definition),
            "BLOB" => self.blobs.extend(fields.tag.parse::<u32>()),
            "BLOB METADATA" => self.blobs.extend(
                fields
                    .definition
                    .split_whitespace()
                    .filter_map(|oid| oid.parse::<u32>().ok()),
            ),
            "STDSTRINGS" | "SEARCHPATH" | "DATABASE" | "DATABASE PROPERTIES" => {}
            _ => self.defines |= fields.section == PRE_DATA,
        }
        self.parts.note(&fields.definition, "");
        self.extensions |= fields.desc == "EXTENSION";
        if fields.desc.ends_with("TABLE") {
            self.tables += u64::from(fields.desc == "TABLE");
            self.names.insert(digest(&[&fields.schema, &fields.tag]));
        }
    }

    /// Whether the data of each table goes with a definition that is there. That says nothing where
    /// definitions were left out, or come with an extension.
    fn belongs_together(&self) -> Result<(), FormatError> {
        if self.names.is_empty() || self.extensions {
            return Ok(());
        }
        for entry in self.data.iter().filter(|entry| entry.kind != Kind::Blobs) {
            let name = &entry.name;
            if !entry.dependencies.iter().any(|id| self.ids.contains(id)) {
                return FormatError::damaged(format!(
                    "is damaged: the table of contents has the data of {name}, and not what it depends on"
                ));
            }
            if entry
                .target
                .is_some_and(|target| !self.names.contains(&target))
            {
                return FormatError::damaged(format!(
                    "is damaged: the data of {name} goes by its COPY statement into a table that is not defined"
                ));
            }
        }
        Ok(())
    }
}

/// A digest of a name's parts; names are only compared.
fn digest(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// Schema and name of the table in `COPY schema.table (a, b) FROM stdin;`, as they are without
/// quotes.
pub(super) fn target_of(copy: &str) -> Option<[String; 2]> {
    relation(&mut copy.strip_prefix("COPY ")?)
}

/// Takes `schema.table` off the start of a text.
pub(super) fn relation(text: &mut &str) -> Option<[String; 2]> {
    let schema = identifier(text)?;
    *text = text.strip_prefix('.')?;
    Some([schema, identifier(text)?])
}

/// Takes a name, quoted or not, off the start of `text`.
fn identifier(text: &mut &str) -> Option<String> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text
            .find(['.', ' ', '(', ',', ')', '\n'])
            .unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        *text = rest;
        return (!name.is_empty()).then(|| name.to_owned());
    };
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        let Some(behind) = behind.strip_prefix('"') else {
            *text = behind;
            return Some(name);
        };
        name.push('"');
        rest = behind;
    }
}

/// The number of columns of `COPY schema.table (a, b) FROM stdin;`. A table without columns has no
/// list. Names may be quoted and hold anything, quotes doubled.
pub(super) fn columns(copy: &str) -> Option<usize> {
    let mut columns = 0;
    let (mut quoted, mut listed) = (false, false);
    let mut outside = String::new();
    for c in copy.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => (listed, columns) = (true, 1),
            ',' if listed => columns += 1,
            _ => outside.push(c),
        }
    }
    let whole = !quoted && copy.starts_with("COPY ") && outside.trim_end().ends_with("FROM stdin;");
    whole.then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::{columns, target_of};

    #[test]
    fn columns_are_counted_outside_quotes() {
        assert_eq!(
            columns("COPY public.users (id, email, name) FROM stdin;\n"),
            Some(3)
        );
        assert_eq!(
            columns("COPY public.\"we(ird, \"\"table\"\"\" (\"a,b\", \"c)\") FROM stdin;\n"),
            Some(2)
        );
        assert_eq!(columns("COPY public.nothing  FROM stdin;\n"), Some(0));
        assert_eq!(columns("COPY public.one (a) FROM stdin;\n"), Some(1));
        assert_eq!(columns("COPY public.cut (a, b"), None);
    }

    #[test]
    fn the_table_of_a_copy_statement_is_named_without_quotes() {
        let target = |copy| target_of(copy).map(|[schema, table]| format!("{schema}|{table}"));
        assert_eq!(
            target("COPY public.users (id) FROM stdin;\n").as_deref(),
            Some("public|users")
        );
        let odd = "COPY \"My \"\"Schema\".\"we(ird, \"\"table\"\"\" (a) FROM stdin;\n";
        assert_eq!(
            target(odd).as_deref(),
            Some("My \"Schema|we(ird, \"table\"")
        );
        assert_eq!(
            target("COPY public.nothing  FROM stdin;\n").as_deref(),
            Some("public|nothing")
        );
        assert_eq!(target("COPY \"cut"), None);
    }
}
