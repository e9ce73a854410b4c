//! Damage to what is stored, as the extension `amcheck` finds it in indexes and tables.

use std::time::Instant;

use chaos_common::config::Table;
use chaos_common::postgres::{QueryError, Session};
use chaos_common::record::{Check, Damage, DatabaseState, Status};
use serde::Deserialize;

use super::checks::failed;
use super::relations::relations;

/// So much damage is kept; more of it says nothing new.
const MOST: usize = 50;
/// What `amcheck` says of one table is cut after so many lines.
const LINES: usize = 10;

/// What `amcheck` did.
#[derive(Clone, Debug)]
pub(crate) enum Amcheck {
    /// There is nothing for it.
    NoTables,
    /// It could not be had.
    Unusable(Unusable),
    /// It looked.
    Looked(Looked),
}

/// Why the extension can't be used.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the extension amcheck is not installed in this database")]
    NotInstalled,
    /// The user may not use the extension's schema.
    #[error("the extension amcheck may not be used: {0}")]
    NoSchema(String),
    #[error("the user may not call the functions of amcheck")]
    NoFunctions { schema: String },
}

impl Unusable {
    /// What to do for it.
    fn hint(&self) -> String {
        match self {
            Unusable::NotInstalled => "as a superuser: CREATE EXTENSION amcheck, \
                and grant the user of database.user EXECUTE on its functions"
                .to_owned(),
            Unusable::NoSchema(_) => {
                "grant the user of database.user USAGE on its schema".to_owned()
            }
            Unusable::NoFunctions { schema } => format!(
                "as a superuser: \
                 GRANT EXECUTE ON FUNCTION {schema}.bt_index_check(regclass, boolean), \
                 {schema}.verify_heapam TO the user of database.user"
            ),
        }
    }
}

/// How far `amcheck` came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked {
    indexes: usize,
    tables: usize,
    /// Not looked at: the time was over.
    late: usize,
    /// Not looked at: what the server said instead.
    unread: Vec<QueryError>,
    pub(super) damage: Vec<Damage>,
}

#[derive(Deserialize)]
struct Extension {
    schema: String,
    index: Option<bool>,
    heap: Option<bool>,
}

#[derive(Deserialize)]
struct CatalogueObject {
    name: String,
    oid: u64,
    index: bool,
}

#[derive(Deserialize)]
struct Finding {
    block: Option<i64>,
    message: String,
}

/// Looks at the B-tree indexes of the tables and at the tables themselves, small ones first, for
/// about as long as one statement may take. Its locks are those of a reader. (Each statement is
/// stopped by the server in any case.)
pub(super) async fn look(session: &mut Session, tables: &[Table]) -> Result<Amcheck, QueryError> {
    if tables.is_empty() {
        return Ok(Amcheck::NoTables);
    }
    let extension = match extension(session).await? {
        Ok(extension) => extension,
        Err(why) => return Ok(Amcheck::Unusable(why)),
    };
    let start = Instant::now();
    let mut looked = Looked::default();
    for object in objects(session, tables).await? {
        if !extension.can_look_at(&object) {
            continue;
        }
        if start.elapsed() > session.statement_timeout() {
            looked.late += 1;
            continue;
        }
        match findings(session, &extension.schema, &object).await {
            Ok(findings) => looked.add_findings(&object, findings),
            Err(error) if error.is_damage() => looked.add_damage(&object.name, error.why),
            Err(error) if error.is_timeout() => looked.late += 1,
            Err(error) if error.state.is_some() => looked.unread.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(Amcheck::Looked(looked))
}

/// What `amcheck` says of an index or a table.
async fn findings(
    session: &mut Session,
    schema: &str,
    object: &CatalogueObject,
) -> Result<Vec<Finding>, QueryError> {
    let oid = object.oid;
    if object.index {
        // With "heapallindexed": every row must be in the index too.
        let sql = format!("SELECT {schema}.bt_index_check({oid}::regclass, true)");
        return session.attempt(&sql).await.map(|_| Vec::new());
    }
    let sql = format!(
        "SELECT json_build_object('block', blkno, 'message', msg) \
         FROM {schema}.verify_heapam({oid}::regclass, false, true, 'none', NULL, NULL) \
         LIMIT {LINES}"
    );
    session.attempt_rows(&sql).await
}

/// The extension, if it is there and the user may use any of it.
async fn extension(session: &mut Session) -> Result<Result<Extension, Unusable>, QueryError> {
    let sql = include_str!("sql/amcheck_extension.sql");
    let found = match session.attempt_rows::<Extension>(sql).await {
        Ok(found) => found.into_iter().next(),
        Err(error) if error.is_forbidden() => return Ok(Err(Unusable::NoSchema(error.why))),
        Err(error) => return Err(error),
    };
    let Some(extension) = found else {
        return Ok(Err(Unusable::NotInstalled));
    };
    if extension.index != Some(true) && extension.heap != Some(true) {
        let schema = extension.schema;
        return Ok(Err(Unusable::NoFunctions { schema }));
    }
    Ok(Ok(extension))
}

impl Extension {
    /// Whether the user may call the function for it.
    fn can_look_at(&self, object: &CatalogueObject) -> bool {
        let function = if object.index { self.index } else { self.heap };
        function == Some(true)
    }
}

/// The tables, their partitions and what they keep aside (TOAST), and the B-tree indexes of all
/// these.
async fn objects(
    session: &mut Session,
    tables: &[Table],
) -> Result<Vec<CatalogueObject>, QueryError> {
    let sql = include_str!("sql/amcheck_objects.sql");
    let sql = sql.replace("{relations}", &relations(tables));
    session.attempt_rows(&sql).await
}

impl Looked {
    fn add_findings(&mut self, object: &CatalogueObject, findings: Vec<Finding>) {
        self.indexes += usize::from(object.index);
        self.tables += usize::from(!object.index);
        for Finding { block, message } in findings {
            let block = block.map(|block| format!("block {block}: "));
            let message = block.unwrap_or_default() + &message;
            self.add_damage(&object.name, message);
        }
    }

    fn add_damage(&mut self, object: &str, message: String) {
        if self.damage.len() < MOST {
            self.damage.push(Damage {
                object: object.to_owned(),
                message,
            });
        }
    }
}

/// `data.amcheck` or `baseline.amcheck`: is what is stored sound?
pub(super) fn check(
    id: &str,
    amcheck: &Result<Amcheck, QueryError>,
    before: Option<&DatabaseState>,
    object: &str,
) -> Check {
    match amcheck {
        Ok(Amcheck::Looked(looked)) => {
            let damaged = damage_check(id, &looked.damage, before, object);
            damaged.unwrap_or_else(|| looked.sound_check(id, object))
        }
        Ok(Amcheck::NoTables) => Check::skipped(id, object, "no table is configured"),
        Ok(Amcheck::Unusable(why)) => Check::skipped(id, object, why.to_string()).hint(why.hint()),
        Err(error) => failed(id, object, error),
    }
}

/// That something is damaged, if so.
fn damage_check(
    id: &str,
    damage: &[Damage],
    before: Option<&DatabaseState>,
    object: &str,
) -> Option<Check> {
    let first = damage.first()?;
    let known = |one: &Damage| {
        before.is_some_and(|before| before.damage.iter().any(|was| was.object == one.object))
    };
    let before = if damage.iter().all(known) {
        "; was so in the baseline"
    } else {
        ""
    };
    let others = damage.iter().filter(|one| one.object != first.object);
    let more = match others.count() {
        0 => String::new(),
        more => format!(", and {more} findings in others"),
    };
    let message = format!(
        "{} is damaged: {}{more}{before}",
        first.object, first.message
    );
    Some(Check::fail(id, object, message).hint(
        "keep a copy of the volume first; \
         an index can be made anew with REINDEX, a table comes from a backup",
    ))
}

impl Looked {
    /// The check where no damage was found: how much of it was looked at?
    fn sound_check(&self, id: &str, object: &str) -> Check {
        let mut gaps = Vec::new();
        if self.late > 0 {
            gaps.push(format!(
                "{} were not looked at: the time was over",
                self.late
            ));
        }
        if let Some(error) = self.unread.first() {
            let unread = self.unread.len();
            gaps.push(format!("{unread} could not be looked at: {}", error.why));
        }
        let gaps = gaps.join("; ");
        let (indexes, tables) = (self.indexes, self.tables);
        let sound = format!("{indexes} indexes and {tables} tables are sound");
        match (indexes + tables, gaps.is_empty()) {
            (0, true) => {
                let message = "there is nothing that amcheck or the user may look at";
                Check::skipped(id, object, message)
            }
            (0, false) => Check::unknown(id, object, gaps),
            (_, true) => Check::pass(id, object, sound),
            (_, false) => Check::new(id, object, Status::Warn, format!("{sound}; {gaps}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(damaged: &[&str]) -> DatabaseState {
        let damage: Vec<_> = damaged
            .iter()
            .map(|object| serde_json::json!({ "object": object, "message": "m" }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "vantage": "direct", "database": "shop", "server_version": "15.18",
            "size_bytes": 1, "tables": [], "damage": damage,
        }))
        .expect("a state")
    }

    #[test]
    fn what_amcheck_could_not_look_at_is_told_and_damage_fails() {
        let of = |looked: Looked, before: Option<&DatabaseState>| {
            check("x", &Ok(Amcheck::Looked(looked)), before, "d")
        };
        let good = Looked {
            indexes: 2,
            tables: 1,
            ..Looked::default()
        };
        assert_eq!(of(good.clone(), None).status, Status::Pass);
        assert_eq!(
            of(
                Looked {
                    late: 1,
                    ..good.clone()
                },
                None
            )
            .status,
            Status::Warn
        );
        assert_eq!(
            of(
                Looked {
                    late: 3,
                    ..Looked::default()
                },
                None
            )
            .status,
            Status::Unknown
        );
        let damage = vec![Damage {
            object: "public.i".to_owned(),
            message: "m".to_owned(),
        }];
        let bad = Looked {
            damage,
            late: 1,
            ..good
        };
        assert_eq!(of(bad.clone(), None).status, Status::Fail);
        let known = of(bad.clone(), Some(&state(&["public.i"])));
        assert!(
            known.status == Status::Fail && known.message.contains("was so"),
            "{known:?}"
        );
        assert!(
            !of(bad, Some(&state(&["public.other"])))
                .message
                .contains("was so")
        );
        let missing = Amcheck::Unusable(Unusable::NotInstalled);
        assert_eq!(check("x", &Ok(missing), None, "d").status, Status::Skipped);
    }

    #[test]
    fn the_right_to_one_function_is_no_right_to_the_other() {
        let of = |index, heap| {
            let schema = "public".to_owned();
            let extension = Extension {
                schema,
                index,
                heap,
            };
            [true, false].map(|index| {
                let name = "public.x".to_owned();
                extension.can_look_at(&CatalogueObject {
                    name,
                    oid: 1,
                    index,
                })
            })
        };
        assert_eq!(of(Some(true), Some(false)), [true, false]);
        assert_eq!(of(Some(false), Some(true)), [false, true]);
        assert_eq!(of(Some(true), None), [true, false]);
        assert_eq!(of(None, None), [false, false]);
    }
}
