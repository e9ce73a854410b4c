//! Constraints and indexes: do they still guard what they guarded?

use chaos_common::config::Table;
use chaos_common::postgres::{QueryError, Session};
use chaos_common::record::{Check, DatabaseState, Status, TableGuard};

use super::checks::failed;
use super::relations::relations;

/// So many are kept; this bounds the record where a table has thousands of partitions.
const MOST: usize = 2000;

/// Constraints and indexes of the tables and their partitions. A constraint whose triggers are
/// disabled guards nothing, and does not count as valid.
pub(super) async fn read(
    session: &mut Session,
    tables: &[Table],
) -> Result<Vec<TableGuard>, QueryError> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let sql = include_str!("sql/guards.sql")
        .replace("{relations}", &relations(tables))
        .replace("{limit}", &(MOST + 1).to_string());
    session.attempt_rows(&sql).await
}

/// `data.constraint` and `data.index`: one check each for all that are as they should be, and one
/// for each that is not.
pub(super) fn compare(
    guards: &Result<Vec<TableGuard>, QueryError>,
    before: Option<&DatabaseState>,
    object: &str,
) -> Vec<Check> {
    let guards = match guards {
        Ok(guards) => guards,
        Err(error) => {
            return KINDS
                .iter()
                .map(|(_, id)| failed(id, object, error))
                .collect();
        }
    };
    KINDS
        .iter()
        .flat_map(|(kind, id)| of_kind(kind, id, guards, before, object))
        .collect()
}

const KINDS: [(&str, &str); 2] = [("constraint", "data.constraint"), ("index", "data.index")];

fn of_kind(
    kind: &str,
    id: &str,
    guards: &[TableGuard],
    before: Option<&DatabaseState>,
    object: &str,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut good = 0;
    let now = guards.iter().filter(|guard| guard.kind == kind);
    let of = now.clone().count();
    for guard in now {
        match trouble(before.map(|before| before.guards.as_slice()), guard) {
            Some((status, message)) => {
                let check = Check::new(id, name(guard), status, message);
                checks.push(if guard.valid {
                    check
                } else {
                    check.hint(hint(guard))
                });
            }
            None => good += 1,
        }
    }
    let whole = guards.len() <= MOST;
    let then = before
        .map(|before| before.guards.as_slice())
        .unwrap_or_default();
    for was in then
        .iter()
        .filter(|was| was.kind == kind && whole && find(guards, was).is_none())
    {
        checks.push(Check::fail(
            id,
            name(was),
            format!("is gone from {}; it was: {}", was.table, was.definition),
        ));
    }
    if !whole {
        let message = format!(
            "there are more than {MOST} constraints and indexes; the others were not compared"
        );
        checks.push(Check::unknown(id, object, message));
    }
    if of == 0 && checks.is_empty() {
        return vec![Check::skipped(id, object, "the tables have none")];
    }
    if good > 0 {
        checks.insert(
            0,
            Check::pass(
                id,
                object,
                format!("{good} of {of} are valid and as they were"),
            ),
        );
    }
    checks
}

/// `baseline.constraint` and `baseline.index`: only what is not as it should be.
pub(super) fn baseline(guards: &Result<Vec<TableGuard>, QueryError>, object: &str) -> Vec<Check> {
    match guards {
        Ok(guards) => {
            let invalid = guards.iter().filter(|guard| !guard.valid);
            let check = |guard: &TableGuard| {
                Check::new(
                    &format!("baseline.{}", guard.kind),
                    name(guard),
                    Status::Warn,
                    invalid_text(guard),
                )
                .hint(hint(guard))
            };
            invalid.map(check).collect()
        }
        Err(error) => vec![failed("baseline.constraint", object, error)],
    }
}

fn find<'a>(all: &'a [TableGuard], one: &TableGuard) -> Option<&'a TableGuard> {
    all.iter().find(|other| {
        (&other.kind, &other.table, &other.name) == (&one.kind, &one.table, &one.name)
    })
}

fn name(guard: &TableGuard) -> String {
    format!("{} {}", guard.kind, guard.name)
}

fn invalid_text(guard: &TableGuard) -> String {
    if guard.kind == "index" {
        format!(
            "is not valid, so that {} is not served by it: {}",
            guard.table, guard.definition
        )
    } else {
        format!(
            "is not validated or not enforced on {}: {}",
            guard.table, guard.definition
        )
    }
}

fn hint(guard: &TableGuard) -> String {
    let TableGuard { table, name, .. } = guard;
    if guard.kind == "index" {
        let schema = table.split_once('.').map_or("public", |(schema, _)| schema);
        format!("REINDEX INDEX CONCURRENTLY {schema}.{name}")
    } else {
        format!(
            "ALTER TABLE {table} VALIDATE CONSTRAINT {name}, \
             and ENABLE TRIGGER ALL if its triggers are disabled"
        )
    }
}

/// What is wrong with a constraint or an index, if anything is. `before` are those of the baseline,
/// where there is a baseline.
fn trouble(before: Option<&[TableGuard]>, is: &TableGuard) -> Option<(Status, String)> {
    let was = before.and_then(|before| find(before, is));
    if !is.valid {
        let text = invalid_text(is);
        return Some(match was {
            Some(was) if !was.valid => (Status::Warn, format!("{text}; was so in the baseline")),
            _ => (Status::Fail, text),
        });
    }
    match was {
        Some(was) if was.definition != is.definition => Some((
            Status::Fail,
            format!("is now {}; it was {}", is.definition, was.definition),
        )),
        None if before.is_some() => Some((
            Status::Warn,
            format!("is new on {}: {}", is.table, is.definition),
        )),
        // With no baseline, being valid is all that can be asked.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(definition: &str, valid: bool) -> TableGuard {
        TableGuard {
            kind: "index".to_owned(),
            table: "public.t".to_owned(),
            name: "i".to_owned(),
            definition: definition.to_owned(),
            valid,
        }
    }

    fn status(before: Option<&[TableGuard]>, is: &TableGuard) -> Option<Status> {
        trouble(before, is).map(|(status, _)| status)
    }

    #[test]
    fn what_became_invalid_or_another_fails_and_what_was_invalid_before_is_not_blamed() {
        let (good, bad) = (guard("a", true), guard("a", false));
        let one = std::slice::from_ref;
        assert_eq!(status(None, &good), None);
        assert_eq!(status(None, &bad), Some(Status::Fail));
        assert_eq!(status(Some(one(&good)), &good), None);
        assert_eq!(status(Some(one(&good)), &bad), Some(Status::Fail));
        assert_eq!(status(Some(one(&bad)), &bad), Some(Status::Warn));
        assert_eq!(status(Some(&[]), &bad), Some(Status::Fail));
        assert_eq!(status(Some(&[]), &good), Some(Status::Warn));
        assert_eq!(
            status(Some(one(&guard("b", true))), &good),
            Some(Status::Fail)
        );
    }

    #[test]
    fn more_than_are_kept_are_not_called_good() {
        let many = Ok(vec![guard("a", true); MOST + 1]);
        assert!(
            compare(&many, None, "d")
                .iter()
                .any(|check| check.status == Status::Unknown)
        );
    }
}
