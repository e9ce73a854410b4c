//! Pages that failed their checksum, as the server counts them.

use chaos_common::postgres::{QueryError, Session};
use chaos_common::record::{Check, DatabaseState, Status};
use serde::Deserialize;

use super::checks::failed;

/// The checksums of pages, as the server's statistics have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// The server has none.
    Off,
    /// So many pages failed theirs.
    Failures(u64),
}

/// Reads how many pages of the database, and of what all databases share, failed their checksum.
pub(super) async fn read(session: &mut Session) -> Result<Checksums, QueryError> {
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
pub(super) fn check(
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

    fn state(failures: Option<u64>) -> DatabaseState {
        serde_json::from_value(serde_json::json!({
            "vantage": "direct", "database": "shop", "server_version": "15.18",
            "size_bytes": 1, "tables": [], "checksum_failures": failures,
        }))
        .expect("a state")
    }

    #[test]
    fn failed_checksums_fail_unless_they_are_the_ones_of_before() {
        let of = |now, before: Option<Option<u64>>| {
            let before = before.map(state);
            check("x", &Ok(Checksums::Failures(now)), before.as_ref(), "d").status
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
            check("x", &Ok(Checksums::Off), None, "d").status,
            Status::Skipped
        );
    }
}
