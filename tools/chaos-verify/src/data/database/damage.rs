//! Damage to what is stored: the pages' checksums, and what `amcheck` finds in indexes and tables.

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
    /// It could not be had: why, and what to do for it.
    Missing(String, String),
    /// It looked.
    Looked(Looked),
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
struct Object {
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
pub(super) async fn amcheck(
    session: &mut Session,
    tables: &[Table],
) -> Result<Amcheck, QueryError> {
    if tables.is_empty() {
        return Ok(Amcheck::Missing(
            "no table is configured".to_owned(),
            String::new(),
        ));
    }
    let Extension {
        schema,
        index,
        heap,
    } = match extension(session).await? {
        Ok(extension) => extension,
        Err((why, hint)) => return Ok(Amcheck::Missing(why, hint)),
    };
    let (index, heap) = (index == Some(true), heap == Some(true));
    let start = Instant::now();
    let mut looked = Looked::default();
    for object in objects(session, tables).await? {
        if (object.index && !index) || (!object.index && !heap) {
            continue;
        }
        if start.elapsed() > session.statement_timeout() {
            looked.late += 1;
            continue;
        }
        let found = if object.index {
            // With "heapallindexed": every row must be in the index too.
            let sql = format!(
                "SELECT {schema}.bt_index_check({}::regclass, true)",
                object.oid
            );
            session.attempt(&sql).await.map(|_| Vec::new())
        } else {
            let sql = format!(
                "SELECT json_build_object('block', blkno, 'message', msg) FROM {schema}.verify_heapam(\
                 {}::regclass, false, true, 'none', NULL, NULL) LIMIT {LINES}",
                object.oid
            );
            session.attempt_rows::<Finding>(&sql).await
        };
        match found {
            Ok(findings) => {
                looked.indexes += usize::from(object.index);
                looked.tables += usize::from(!object.index);
                for Finding { block, message } in findings {
                    let block = block
                        .map(|block| format!("block {block}: "))
                        .unwrap_or_default();
                    looked.add(&object.name, format!("{block}{message}"));
                }
            }
            Err(error) if error.is_damage() => looked.add(&object.name, error.why),
            Err(error) if error.is_timeout() => looked.late += 1,
            Err(error) if error.state.is_some() => looked.unread.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(Amcheck::Looked(looked))
}

/// The extension, if it is there and the user may use any of it.
async fn extension(
    session: &mut Session,
) -> Result<Result<Extension, (String, String)>, QueryError> {
    let sql = "SELECT json_build_object('schema', s, \
        'index', has_function_privilege(to_regprocedure(s || '.bt_index_check(regclass, boolean)'), 'EXECUTE'), \
        'heap', has_function_privilege(to_regprocedure(s || \
        '.verify_heapam(regclass, boolean, boolean, text, bigint, bigint)'), 'EXECUTE')) \
        FROM (SELECT format('%I', n.nspname) AS s FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace \
        WHERE e.extname = 'amcheck') AS x";
    let extension = match session.attempt_rows::<Extension>(sql).await {
        Ok(found) => found.into_iter().next(),
        Err(error) if error.is_forbidden() => {
            let hint = "grant the user of database.user USAGE on its schema".to_owned();
            return Ok(Err((
                format!("the extension amcheck may not be used: {}", error.why),
                hint,
            )));
        }
        Err(error) => return Err(error),
    };
    Ok(match extension {
        None => Err((
            "the extension amcheck is not installed in this database".to_owned(),
            "as a superuser: CREATE EXTENSION amcheck, and grant the user of database.user EXECUTE on its functions"
                .to_owned(),
        )),
        Some(Extension { schema, index, heap }) if index != Some(true) && heap != Some(true) => Err((
            "the user may not call the functions of amcheck".to_owned(),
            format!(
                "as a superuser: GRANT EXECUTE ON FUNCTION {schema}.bt_index_check(regclass, boolean), \
                 {schema}.verify_heapam TO the user of database.user"
            ),
        )),
        Some(extension) => Ok(extension),
    })
}

/// The tables, their partitions and what they keep aside (TOAST), and the B-tree indexes of all
/// these.
async fn objects(session: &mut Session, tables: &[Table]) -> Result<Vec<Object>, QueryError> {
    let sql = format!(
        "WITH RECURSIVE {relations}, heaps AS (SELECT oid FROM relations UNION SELECT c.reltoastrelid FROM pg_class c \
         JOIN relations r ON r.oid = c.oid WHERE c.reltoastrelid <> 0) \
         SELECT json_build_object('name', format('%I.%I', n.nspname, c.relname), 'oid', c.oid::bigint, \
         'index', c.relkind = 'i') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE (c.oid IN (SELECT oid FROM heaps) AND c.relkind IN ('r', 'm', 't')) OR (c.relkind = 'i' \
         AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree') AND c.oid IN (SELECT i.indexrelid FROM pg_index i \
         WHERE i.indrelid IN (SELECT oid FROM heaps) AND i.indisvalid AND i.indisready)) \
         ORDER BY pg_relation_size(c.oid), c.oid",
        relations = relations(tables),
    );
    session.attempt_rows(&sql).await
}

impl Looked {
    fn add(&mut self, object: &str, message: String) {
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
    let looked = match amcheck {
        Ok(Amcheck::Looked(looked)) => looked,
        Ok(Amcheck::Missing(why, hint)) => {
            let check = Check::skipped(id, object, why);
            return if hint.is_empty() {
                check
            } else {
                check.hint(hint)
            };
        }
        Err(error) => return failed(id, object, error),
    };
    let Looked {
        indexes,
        tables,
        late,
        unread,
        damage,
    } = looked;
    if let Some(first) = damage.first() {
        let known = |one: &Damage| {
            before.is_some_and(|before| before.damage.iter().any(|was| was.object == one.object))
        };
        let before = if damage.iter().all(known) {
            "; was so in the baseline"
        } else {
            ""
        };
        let more = damage
            .iter()
            .filter(|one| one.object != first.object)
            .count();
        let more = if more > 0 {
            format!(", and {more} findings in others")
        } else {
            String::new()
        };
        let message = format!(
            "{} is damaged: {}{more}{before}",
            first.object, first.message
        );
        return Check::fail(id, object, message).hint(
            "keep a copy of the volume first; an index can be made anew with REINDEX, a table comes from a backup",
        );
    }
    let seen = format!("{indexes} indexes and {tables} tables are sound");
    let mut gaps = Vec::new();
    if *late > 0 {
        gaps.push(format!("{late} were not looked at: the time was over"));
    }
    if let Some(error) = unread.first() {
        gaps.push(format!(
            "{} could not be looked at: {}",
            unread.len(),
            error.why
        ));
    }
    match (indexes + tables, gaps.is_empty()) {
        (0, true) => Check::skipped(
            id,
            object,
            "there is nothing that amcheck or the user may look at",
        ),
        (0, false) => Check::unknown(id, object, gaps.join("; ")),
        (_, true) => Check::pass(id, object, seen),
        (_, false) => Check::new(
            id,
            object,
            Status::Warn,
            format!("{seen}; {}", gaps.join("; ")),
        ),
    }
}

/// The checksums of pages, as the server's statistics have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// The server has none.
    Off,
    /// So many pages failed theirs.
    Failures(u64),
}

/// Reads how many pages of the database, and of what all databases share, failed their checksum.
pub(super) async fn checksums(session: &mut Session) -> Result<Checksums, QueryError> {
    #[derive(Deserialize)]
    struct Row {
        on: bool,
        failures: Option<u64>,
    }
    let sql = "SELECT json_build_object('on', current_setting('data_checksums', true) = 'on', \
        'failures', (SELECT sum(checksum_failures)::bigint FROM pg_stat_database \
        WHERE datname = current_database() OR datid = 0))";
    let row = session.attempt_rows::<Row>(sql).await?.into_iter().next();
    Ok(match row {
        Some(Row { on: true, failures }) => Checksums::Failures(failures.unwrap_or_default()),
        _ => Checksums::Off,
    })
}

/// `data.checksums` or `baseline.checksums`. A crash begins the statistics anew, so fewer failures
/// than before are new ones.
pub(super) fn check_sums(
    id: &str,
    checksums: &Result<Checksums, QueryError>,
    before: Option<&DatabaseState>,
    object: &str,
) -> Check {
    let failures = match checksums {
        Ok(Checksums::Failures(failures)) => *failures,
        Ok(Checksums::Off) => {
            let message =
                "the server keeps no checksums of its pages, so that damage to them may go unseen";
            return Check::skipped(id, object, message)
                .hint("pg_checksums --enable turns them on while the server is down");
        }
        // Before version 12 there is no such figure.
        Err(error) if error.state.as_deref() == Some("42703") => {
            return Check::skipped(
                id,
                object,
                "this version of the server does not count failed checksums",
            );
        }
        Err(error) => return failed(id, object, error),
    };
    if failures == 0 {
        return Check::pass(id, object, "no page failed its checksum");
    }
    let text =
        format!("{failures} pages failed their checksum since the server's statistics began");
    match before.and_then(|before| before.checksum_failures) {
        Some(was) if was == failures => Check::new(
            id,
            object,
            Status::Warn,
            format!("{text}; was so in the baseline"),
        ),
        was => {
            let was = was
                .map(|was| format!("; {was} in the baseline"))
                .unwrap_or_default();
            let hint = "keep a copy of the volume, then restore from a backup; the server's log names the pages";
            Check::fail(id, object, format!("{text}{was}")).hint(hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(failures: Option<u64>, damaged: &[&str]) -> DatabaseState {
        let damage: Vec<_> = damaged
            .iter()
            .map(|object| serde_json::json!({ "object": object, "message": "m" }))
            .collect();
        serde_json::from_value(serde_json::json!({
            "vantage": "direct", "database": "shop", "server_version": "15.18", "size_bytes": 1, "tables": [],
            "checksum_failures": failures, "damage": damage,
        }))
        .expect("a state")
    }

    #[test]
    fn failed_checksums_fail_unless_they_are_the_ones_of_before() {
        let of = |now, before: Option<Option<u64>>| {
            let before = before.map(|failures| state(failures, &[]));
            check_sums("x", &Ok(Checksums::Failures(now)), before.as_ref(), "d").status
        };
        assert_eq!(of(0, None), Status::Pass);
        assert_eq!(of(3, None), Status::Fail);
        assert_eq!(of(3, Some(None)), Status::Fail);
        assert_eq!(of(3, Some(Some(3))), Status::Warn);
        assert_eq!(of(4, Some(Some(3))), Status::Fail);
        // The statistics began anew, and there are failures again.
        assert_eq!(of(2, Some(Some(3))), Status::Fail);
        assert_eq!(of(0, Some(Some(3))), Status::Pass);
        assert_eq!(
            check_sums("x", &Ok(Checksums::Off), None, "d").status,
            Status::Skipped
        );
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
        let known = of(bad.clone(), Some(&state(None, &["public.i"])));
        assert!(
            known.status == Status::Fail && known.message.contains("was so"),
            "{known:?}"
        );
        assert!(
            !of(bad, Some(&state(None, &["public.other"])))
                .message
                .contains("was so")
        );
        let missing = Amcheck::Missing("not there".to_owned(), "h".to_owned());
        assert_eq!(check("x", &Ok(missing), None, "d").status, Status::Skipped);
    }
}
