//! Which tables are parts of others: partitions and those that inherit. Their rows are also rows of
//! what they are parts of.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::record::TableRows;

use super::toc::{qualified, relation};

/// The tables of a dump that are parts of others, and those others.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The parts of each table, by its name with its schema.
    of: BTreeMap<String, BTreeSet<String>>,
    /// Tables that are partitioned, and so have no rows of their own.
    partitioned: BTreeSet<String>,
}

impl Parts {
    /// Takes a statement that defines a table or attaches one to another. `prefix` stands before
    /// every name: that of the database, in a script of several.
    pub(super) fn note(&mut self, statement: &str, prefix: &str) {
        let name = |[schema, table]: [String; 2]| format!("{prefix}{}", qualified(&schema, &table));
        if let Some((parent, part)) = attached(statement) {
            self.of.entry(name(parent)).or_default().insert(name(part));
            return;
        }
        let Some(mut rest) = table_definition(statement) else {
            return;
        };
        let Some(table) = relation(&mut rest) else {
            return;
        };
        let table = name(table);
        // So PostgreSQL 10 defines a partition.
        if let Some(mut parent) = rest.strip_prefix(" PARTITION OF ")
            && let Some(parent) = relation(&mut parent)
        {
            self.of
                .entry(name(parent))
                .or_default()
                .insert(table.clone());
        }
        for parent in inherited(rest) {
            self.of
                .entry(name(parent))
                .or_default()
                .insert(table.clone());
        }
        if rest.contains("\nPARTITION BY ") {
            self.partitioned.insert(table);
        }
    }

    /// The rows of the table that is named, with its schema or without, and of all its parts.
    /// `None` if there is no such table.
    pub(super) fn rows(&self, tables: &[TableRows], name: &str) -> Option<u64> {
        let counted = tables.iter().map(|table| &table.table);
        let all = counted.chain(self.of.keys()).chain(&self.partitioned);
        let named: BTreeSet<&String> = all.filter(|table| is_named(table, name)).collect();
        named.into_iter().map(|table| self.sum(tables, table)).max()
    }

    fn sum(&self, tables: &[TableRows], table: &String) -> u64 {
        let (mut waiting, mut seen) = (vec![table], BTreeSet::new());
        let mut rows = 0;
        while let Some(table) = waiting.pop() {
            if seen.insert(table) {
                let own = tables.iter().filter(|rows| rows.table == *table);
                rows += own.map(|table| table.rows).sum::<u64>();
                waiting.extend(self.of.get(table).into_iter().flatten());
            }
        }
        rows
    }
}

/// Whether a table with its schema is the one that is named, with its schema or without.
fn is_named(table: &str, name: &str) -> bool {
    let short = |table: &str| {
        table
            .rsplit_once('.')
            .is_some_and(|(_, table)| table == name)
    };
    table == name || short(table) || table.split_once('.').is_some_and(|(_, rest)| rest == name)
}

/// What stands behind `CREATE TABLE `.
fn table_definition(statement: &str) -> Option<&str> {
    let rest = statement.strip_prefix("CREATE ")?;
    let rest = rest.strip_prefix("UNLOGGED ").unwrap_or(rest);
    let rest = rest.strip_prefix("FOREIGN ").unwrap_or(rest);
    rest.strip_prefix("TABLE ")
}

/// The table and its part of `ALTER TABLE ONLY table ATTACH PARTITION part …`.
fn attached(statement: &str) -> Option<([String; 2], [String; 2])> {
    let mut rest = statement.strip_prefix("ALTER TABLE ONLY ")?;
    let parent = relation(&mut rest)?;
    let mut rest = rest.strip_prefix(" ATTACH PARTITION ")?;
    Some((parent, relation(&mut rest)?))
}

/// The tables in the clause `INHERITS (a, b)` behind the columns of a table.
fn inherited(definition: &str) -> Vec<[String; 2]> {
    let Some(at) = definition.rfind("\nINHERITS (") else {
        return Vec::new();
    };
    let mut rest = &definition[at + "\nINHERITS (".len()..];
    let mut parents = Vec::new();
    while let Some(parent) = relation(&mut rest) {
        parents.push(parent);
        rest = rest.strip_prefix(", ").unwrap_or("");
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(tables: &[(&str, u64)]) -> Vec<TableRows> {
        let row = |(table, rows): &(&str, u64)| TableRows {
            table: (*table).to_owned(),
            rows: *rows,
        };
        tables.iter().map(row).collect()
    }

    #[test]
    fn rows_of_parts_are_rows_of_the_whole() {
        let mut parts = Parts::default();
        for statement in [
            "CREATE TABLE public.orders (\n    at date NOT NULL\n)\nPARTITION BY RANGE (at);\n",
            "CREATE TABLE public.orders_2026 (\n    at date NOT NULL\n)\nPARTITION BY LIST (x);",
            "ALTER TABLE ONLY public.orders ATTACH PARTITION public.orders_2026 FOR VALUES FROM (1) TO (2);",
            "ALTER TABLE ONLY public.orders_2026 ATTACH PARTITION \"My S\".\"a.b\" DEFAULT;",
            "CREATE TABLE public.old PARTITION OF public.orders\nFOR VALUES IN (1);",
            "CREATE TABLE public.cars (\n    doors integer\n)\nINHERITS (public.vehicles, public.things);",
            "CREATE TABLE public.none (\n    a date\n)\nPARTITION BY RANGE (a);",
        ] {
            parts.note(statement, "");
        }
        let tables = counted(&[
            ("My S.a.b", 3),
            ("public.old", 4),
            ("public.cars", 5),
            ("public.vehicles", 1),
        ]);
        for (name, rows) in [
            ("orders", Some(7)),
            ("public.orders", Some(7)),
            ("orders_2026", Some(3)),
            ("vehicles", Some(6)),
            ("things", Some(5)),
            ("cars", Some(5)),
            ("none", Some(0)),
            ("other", None),
        ] {
            assert_eq!(parts.rows(&tables, name), rows, "{name}");
        }
    }

    #[test]
    fn parts_of_each_other_have_an_end() {
        let mut parts = Parts::default();
        parts.note(
            "ALTER TABLE ONLY p.a ATTACH PARTITION p.b DEFAULT;",
            "shop.",
        );
        parts.note(
            "ALTER TABLE ONLY p.b ATTACH PARTITION p.a DEFAULT;",
            "shop.",
        );
        assert_eq!(parts.rows(&counted(&[("shop.p.a", 2)]), "p.b"), Some(2));
    }
}
