//! Dumps of a real PostgreSQL, in all the forms that people keep.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use chaos_tests::run::Place;

/// Makes a database with roles, an extension of nothing and odd names, and dumps it. The server
/// listens on a socket in its folder, belongs to somebody without rights, and is gone at the end.
const MAKE: &str = r#"
set -euo pipefail
programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
PATH=$programs:$PATH
cd "$1"
initdb -U postgres -A trust -E UTF8 --no-locale --no-sync -D data >/dev/null
pg_ctl -D data -w -o "-k $1/run -c listen_addresses= -c fsync=off" -l log start >/dev/null
trap 'pg_ctl -D ../data -m immediate stop >/dev/null' EXIT
export PGHOST=$1/run PGUSER=postgres
psql -Xq -v ON_ERROR_STOP=1 -d postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD 'x'; CREATE ROLE "the reader"; CREATE DATABASE shop OWNER app; CREATE DATABASE other;
\connect shop
CREATE TABLE users (id serial PRIMARY KEY, name text, note text);
ALTER TABLE users OWNER TO app;
INSERT INTO users (name, note) SELECT 'user ' || n, E'tab\there\nGRANT ALL TO nobody;\n' FROM generate_series(1, 1000) n;
CREATE TABLE "odd Name" (a int);
INSERT INTO "odd Name" VALUES (1), (2);
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN 1; -- ALTER TABLE x OWNER TO none;
END $f$;
GRANT SELECT ON users TO "the reader";
SELECT lo_from_bytea(0, 'large') \g /dev/null
\connect other
CREATE TABLE things (a int);
INSERT INTO things SELECT generate_series(1, 10);
SQL
cd dumps
pg_dump -Fc shop >custom.dump
pg_dump -Fd -f folder shop
pg_dump -Fp shop >plain.sql
pg_dump -Fp -C shop >create.sql
pg_dumpall >all.sql
gzip -k plain.sql
gzip -k custom.dump
"#;

/// A folder with the dumps: `custom.dump`, `folder`, `plain.sql`, `create.sql` (with its CREATE
/// DATABASE), `all.sql` (`pg_dumpall`), `plain.sql.gz`, `custom.dump.gz`.
pub(crate) struct Dumps(PathBuf);

impl Dumps {
    pub(crate) fn new(place: &Place) -> Dumps {
        let folder = place.path().join("made");
        for part in ["", "run", "dumps"] {
            std::fs::create_dir(folder.join(part)).expect("made");
            std::fs::set_permissions(
                folder.join(part),
                std::os::unix::fs::PermissionsExt::from_mode(0o777),
            )
            .expect("ours");
        }
        std::fs::set_permissions(
            place.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("ours");
        let script = place.file("make.sh", MAKE);
        let mut command = Command::new("bash");
        // PostgreSQL does not run as root.
        if std::fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        {
            command = Command::new("setpriv");
            command.args([
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
                "bash",
            ]);
        }
        let made = command
            .arg(script)
            .arg(&folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output();
        let made = made.expect("bash is there");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Dumps(folder.join("dumps"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
