//! A table as the catalogue has it, and which of its columns are fingerprinted.

use serde::Deserialize;

use super::error::Untaken;
use crate::config::Table;
use crate::postgres::name::{identifier, literal, quoted};
use crate::postgres::session::Session;
use crate::record::TableFingerprint;

/// A table as the catalogue has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Relation {
    pub(super) oid: u64,
    schema: String,
    name: String,
    pub(super) kind: String,
    readable: bool,
    pub(super) columns: Option<Vec<Column>>,
    pub(super) key: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    r#type: String,
    oid: u64,
}

impl Relation {
    /// The table with its schema, quoted.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

impl Column {
    /// As records name it.
    pub(super) fn text(&self) -> String {
        format!("{} {}", identifier(&self.name), self.r#type)
    }

    /// The column in a form that keeps all of its bits when it is hashed.
    pub(super) fn hashable(&self) -> String {
        let name = identifier(&self.name);
        match self.oid {
            // bool, bytea, int2, int4, oid, date, uuid
            16 | 17 | 21 | 23 | 26 | 1082 | 2950 => name,
            20 => format!("int8send({name})"),
            700 => format!("float4send({name})"),
            701 => format!("float8send({name})"),
            1083 => format!("time_send({name})"),
            1114 => format!("timestamp_send({name})"),
            1184 => format!("timestamptz_send({name})"),
            1700 => format!("numeric_send({name})"),
            _ => format!("{name}::text COLLATE \"C\""),
        }
    }
}

pub(super) async fn find(session: &mut Session, table: &Table) -> Result<Relation, Untaken> {
    let name = quoted(&table.name).ok_or(Untaken::NoName)?;
    let sql = format!(
        "SELECT json_build_object('oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, \
         'kind', c.relkind, \
         'readable', has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), \
         'columns', (SELECT json_agg(json_build_object('name', a.attname, 'oid', a.atttypid::bigint, \
         'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         'key', (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisprimary AND a.atttypid IN (20, 21, 23))) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass({})",
        literal(&name)
    );
    let found: Vec<Relation> = match session.attempt_rows(&sql).await {
        // A schema that may not be used hides whether the table is there.
        Err(error) if error.is_forbidden() => return Err(Untaken::Forbidden),
        found => found?,
    };
    match found.into_iter().next() {
        Some(relation) if relation.readable => Ok(relation),
        Some(_) => Err(Untaken::Forbidden),
        None => Err(Untaken::Missing),
    }
}

/// The columns without those that may change.
pub(super) fn chosen(columns: &[Column], table: &Table) -> Result<Vec<Column>, Untaken> {
    if let Some(unknown) = table
        .may_change
        .iter()
        .find(|name| !columns.iter().any(|column| column.name == **name))
    {
        return Err(Untaken::NoColumn(unknown.clone()));
    }
    Ok(columns
        .iter()
        .filter(|column| !table.may_change.contains(&column.name))
        .cloned()
        .collect())
}

/// The columns that an earlier look had, in its order, and those that it did not know.
pub(super) fn as_before(
    columns: &[Column],
    before: &TableFingerprint,
) -> Result<(Vec<Column>, Vec<String>), Untaken> {
    let TableFingerprint {
        columns: before,
        left_out,
        ..
    } = before;
    let find = |text: &String| {
        columns
            .iter()
            .find(|column| column.text() == *text)
            .cloned()
    };
    let gone: Vec<String> = before
        .iter()
        .filter(|text| find(text).is_none())
        .cloned()
        .collect();
    if !gone.is_empty() {
        return Err(Untaken::Columns(gone));
    }
    let new = columns
        .iter()
        .filter(|c| !before.contains(&c.text()) && !left_out.contains(&c.name));
    Ok((
        before.iter().filter_map(find).collect(),
        new.map(Column::text).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, oid: u64) -> Column {
        Column {
            name: name.to_owned(),
            r#type: "t".to_owned(),
            oid,
        }
    }

    fn table(may_change: &[&str]) -> Table {
        Table {
            name: "t".to_owned(),
            may_change: may_change.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn columns_that_may_change_are_left_out_and_must_exist() {
        let columns = [column("id", 23), column("stock", 23)];
        let names = |columns: Vec<Column>| columns.into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(
            chosen(&columns, &table(&["stock"])).map(names).ok(),
            Some(vec!["id".to_owned()])
        );
        assert!(
            matches!(chosen(&columns, &table(&["stok"])), Err(Untaken::NoColumn(name)) if name == "stok")
        );
    }

    #[test]
    fn a_column_that_is_gone_is_named_and_a_new_one_does_not_spoil_the_comparison() {
        let before = TableFingerprint {
            table: "t".to_owned(),
            method: String::new(),
            columns: vec!["\"a\" t".to_owned(), "\"b\" t".to_owned()],
            left_out: vec!["d".to_owned()],
            rows: 0,
            sum: String::new(),
            key: None,
            ranges: Vec::new(),
        };
        let gone = as_before(&[column("b", 23)], &before);
        assert!(matches!(gone, Err(Untaken::Columns(names)) if names == ["\"a\" t"]));
        // In another order, as after a restore.
        let now = [
            column("c", 23),
            column("b", 23),
            column("a", 23),
            column("d", 23),
        ];
        let (used, new) = as_before(&now, &before).expect("comparable");
        assert_eq!(
            used.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(new, ["\"c\" t"]);
    }
}
