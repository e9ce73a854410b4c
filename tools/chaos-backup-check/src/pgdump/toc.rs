//! The table of contents of a custom-format dump (`ReadToc` in PostgreSQL's
//! `pg_backup_archiver.c`, `_ReadExtraToc` in `pg_backup_custom.c`).

use std::collections::HashSet;
use std::io::Read;

use super::header::Header;
use super::input::Input;
use crate::trouble::Trouble;

/// Bytes that an entry has at least: its integers, and the lengths of its texts.
const MIN_ENTRY: u64 = 40;
/// Bytes of a name that are kept.
const KEEP_NAME: usize = 256;
/// Bytes of a COPY statement that are kept: a table has at most 1600 columns, with names of at most
/// 63 bytes.
const KEEP_COPY: usize = 1 << 20;

/// What is needed of the table of contents to judge the data.
#[derive(Debug, Default)]
pub(super) struct Toc {
    /// The entries that have data, in order.
    pub(super) data: Vec<Entry>,
    /// Tables that are defined.
    pub(super) tables: u64,
    /// Whether anything is defined at all, besides settings of the session.
    pub(super) defines: bool,
    /// Whether text is in UTF-8.
    pub(super) utf8: bool,
    /// The oids of the large objects, sorted; none from PostgreSQL 17 on, which lists them otherwise.
    pub(super) blobs: Vec<u32>,
}

impl Toc {
    /// Tables whose data is in the dump.
    pub(super) fn tables_with_data(&self) -> usize {
        self.data.iter().filter(|entry| entry.kind != Kind::Blobs).count()
    }
}

/// An entry that has data.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) kind: Kind,
    /// The table's name with its schema; `large objects` for those.
    pub(super) name: String,
    /// Where the table of contents places the data; `None` in a dump that was piped.
    pub(super) offset: Option<u64>,
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
pub(super) fn read<R: Read>(input: &mut Input<R>, header: &Header) -> Result<Toc, Trouble> {
    let entries = header.entries.unsigned_abs();
    input.room_for(entries * MIN_ENTRY, input.position(), "the table of contents")?;
    let mut toc = Toc::default();
    let mut ids: HashSet<i32> = HashSet::new();
    for number in 1..=entries {
        let at = input.position();
        let (id, entry) = read_entry(input, header.minor, &mut toc).map_err(|trouble| match trouble {
            Trouble::Damaged(why) => {
                Trouble::Damaged(format!("{why} (entry {number} of {entries} in the table of contents)"))
            }
            other @ Trouble::CannotTell(_) => other,
        })?;
        if !i32::try_from(id).is_ok_and(|id| ids.insert(id)) {
            return Trouble::damaged(format!("is damaged at byte {at}: two entries have the id {id}"));
        }
        toc.data.extend(entry);
    }
    toc.blobs.sort_unstable();
    Ok(toc)
}

/// Reads one entry: its id, and the entry itself if it has data.
fn read_entry<R: Read>(input: &mut Input<R>, minor: u8, toc: &mut Toc) -> Result<(i64, Option<Entry>), Trouble> {
    let at = input.position();
    let id = input.int_in(1..=i64::from(i32::MAX), "an id")?;
    let dumped = input.int_in(0..=1, "the mark of data")? == 1;
    decimal(input, "the oid of a catalogue")?;
    decimal(input, "an oid")?;
    let tag = input.text(KEEP_NAME, "a name")?.unwrap_or_default();
    let desc = input.text(KEEP_NAME, "the kind of an entry")?.unwrap_or_default();
    let section = input.int_in(1..=4, "a section")?;
    let definition = input.text(KEEP_NAME, "a definition")?.unwrap_or_default();
    input.text(0, "a drop statement")?;
    let copy = input.text(KEEP_COPY, "a COPY statement")?.filter(|copy| !copy.is_empty());
    let schema = input.text(KEEP_NAME, "the name of a schema")?.unwrap_or_default();
    input.text(0, "the name of a tablespace")?;
    if minor >= 14 {
        input.text(0, "an access method")?;
    }
    if minor >= 16 {
        input.int_in(0..=127, "the kind of a relation")?;
    }
    input.text(0, "an owner")?;
    with_oids(input)?;
    while dependency(input)? {}
    let (has_data, offset) = offset(input)?;
    if has_data != dumped {
        return Trouble::damaged(format!("is damaged behind byte {at}: the marks of data contradict each other"));
    }
    match desc.as_str() {
        "ENCODING" => toc.utf8 = definition.contains("'UTF8'"),
        "BLOB" => toc.blobs.extend(tag.parse::<u32>()),
        "STDSTRINGS" | "SEARCHPATH" | "DATABASE" | "DATABASE PROPERTIES" => {}
        _ => toc.defines |= section == PRE_DATA,
    }
    toc.tables += u64::from(desc == "TABLE");
    if !has_data {
        return Ok((id, None));
    }
    let (kind, name) = match (desc.as_str(), copy) {
        ("TABLE DATA", Some(copy)) => (Kind::Copy(columns(&copy)), qualified(&schema, &tag)),
        ("TABLE DATA", None) => (Kind::Inserts, qualified(&schema, &tag)),
        ("BLOBS", _) => (Kind::Blobs, "large objects".to_owned()),
        _ => {
            return Trouble::damaged(format!(
                "is damaged behind byte {at}: an entry of kind {desc:?} has data, which only tables and large objects have"
            ));
        }
    };
    Ok((id, Some(Entry { id, kind, name, offset })))
}

/// `SECTION_PRE_DATA`.
const PRE_DATA: i64 = 2;

fn qualified(schema: &str, table: &str) -> String {
    if schema.is_empty() { table.to_owned() } else { format!("{schema}.{table}") }
}

fn decimal<R: Read>(input: &mut Input<R>, what: &str) -> Result<(), Trouble> {
    let at = input.position();
    match input.text(KEEP_NAME, what)? {
        Some(text) if is_number(&text) => Ok(()),
        _ => Trouble::damaged(format!("is damaged at byte {at}: {what} is not a number")),
    }
}

fn is_number(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn with_oids<R: Read>(input: &mut Input<R>) -> Result<(), Trouble> {
    let at = input.position();
    match input.text(KEEP_NAME, "the mark of oids")?.as_deref() {
        Some("true" | "false") => Ok(()),
        _ => Trouble::damaged(format!("is damaged at byte {at}: the mark of oids is neither true nor false")),
    }
}

/// Reads one dependency; false at the end of their list. The id need not be in the dump: `pg_dump`
/// leaves out entries that were not asked for, and not what refers to them.
fn dependency<R: Read>(input: &mut Input<R>) -> Result<bool, Trouble> {
    let at = input.position();
    match input.text(KEEP_NAME, "a dependency")? {
        None => Ok(false),
        Some(text) if is_number(&text) => Ok(true),
        Some(_) => Trouble::damaged(format!("is damaged at byte {at}: a dependency is not a number")),
    }
}

/// Whether an entry has data, and where if that was recorded.
fn offset<R: Read>(input: &mut Input<R>) -> Result<(bool, Option<u64>), Trouble> {
    let at = input.position();
    let state = input.byte("the place of its data")?;
    let offset = input.little_endian(input.off_size, "the place of its data")?;
    match state {
        1 => Ok((true, None)),
        2 => Ok((true, Some(offset))),
        3 => Ok((false, None)),
        other => Trouble::damaged(format!("is damaged at byte {at}: the place of data cannot have the mark {other}")),
    }
}

/// The number of columns of `COPY schema.table (a, b) FROM stdin;`. A table without columns has no
/// list. Names may be quoted and hold anything, quotes doubled.
fn columns(copy: &str) -> Option<usize> {
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
    use super::columns;

    #[test]
    fn columns_are_counted_outside_quotes() {
        assert_eq!(columns("COPY public.users (id, email, name) FROM stdin;\n"), Some(3));
        assert_eq!(columns("COPY public.\"we(ird, \"\"table\"\"\" (\"a,b\", \"c)\") FROM stdin;\n"), Some(2));
        assert_eq!(columns("COPY public.nothing  FROM stdin;\n"), Some(0));
        assert_eq!(columns("COPY public.one (a) FROM stdin;\n"), Some(1));
        assert_eq!(columns("COPY public.cut (a, b"), None);
    }
}
