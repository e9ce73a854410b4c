//! A dump as TimescaleDB's users have it: the extension keeps a catalog of its own, takes rows for it only while it is told
//! that a restore is on, and keeps a table's rows in parts that inherit from it. The extension is one of this test's own,
//! in SQL, in a copy of the installed PostgreSQL.

use std::fs;

use crate::place::Place;

/// A copy of the installed PostgreSQL, with the extension.
const PROGRAMS: &str = r#"
version=$(ls /usr/lib/postgresql | sort -V | tail -n 1)
mkdir -p pg/usr/lib/postgresql pg/usr/share/postgresql
cp -a "/usr/lib/postgresql/$version" pg/usr/lib/postgresql/
cp -a "/usr/share/postgresql/$version" pg/usr/share/postgresql/
ln -s "usr/lib/postgresql/$version/bin" pg/bin
extension=pg/usr/share/postgresql/$version/extension
printf "default_version = '1.0'\nrelocatable = false\n" >"$extension/hyperlike.control"
cat >"$extension/hyperlike--1.0.sql" <<'SQL'
CREATE SCHEMA _hyper;
CREATE TABLE _hyper.chunk (id int PRIMARY KEY, root text NOT NULL, relation text NOT NULL);
SELECT pg_catalog.pg_extension_config_dump('_hyper.chunk', '');
CREATE FUNCTION _hyper.guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF current_setting('hyper.restoring', true) IS DISTINCT FROM 'on' THEN
    RAISE EXCEPTION 'the catalog takes no rows but between hyper_pre_restore() and hyper_post_restore()';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON _hyper.chunk FOR EACH ROW EXECUTE FUNCTION _hyper.guard();
CREATE FUNCTION public.hyper_pre_restore() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET hyper.restoring = ''on''', current_database());
END $$;
CREATE FUNCTION public.hyper_post_restore() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE format('ALTER DATABASE %I RESET hyper.restoring', current_database());
  IF EXISTS (SELECT FROM _hyper.chunk WHERE to_regclass(relation) IS NULL) THEN
    RAISE EXCEPTION 'a chunk is in the catalog and nowhere else';
  END IF;
END $$;
SQL
PATH=$PWD/pg/bin:$PATH
"#;

const MAKE: &str = r"
psql -Xq -v ON_ERROR_STOP=1 -d postgres <<'SQL'
CREATE DATABASE metrics;
\connect metrics
CREATE EXTENSION hyperlike;
CREATE SCHEMA _hyper_internal;
CREATE TABLE conditions (day int NOT NULL, value float);
CREATE TABLE _hyper_internal.chunk_1 (CHECK (day < 10)) INHERITS (conditions);
CREATE TABLE _hyper_internal.chunk_2 (CHECK (day >= 10)) INHERITS (conditions);
INSERT INTO _hyper_internal.chunk_1 SELECT n, n FROM generate_series(1, 9) n;
INSERT INTO _hyper_internal.chunk_2 SELECT n, n FROM generate_series(10, 30) n;
SET hyper.restoring = 'on';
INSERT INTO _hyper.chunk VALUES (1, 'conditions', '_hyper_internal.chunk_1'), (2, 'conditions', '_hyper_internal.chunk_2');
SQL
pg_dump -Fc -f metrics.dump metrics
pg_dump -Fp -f metrics.sql metrics
";

const HOOKS: &str = "[[drill.before]]\nsql = 'CREATE EXTENSION hyperlike; SELECT hyper_pre_restore()'\n\
    [[drill.after]]\nsql = 'SELECT hyper_post_restore()'\n\
    [[drill.query]]\nsql = 'SELECT count(*) = 30 FROM conditions'\n";

fn configured(place: &Place, name: &str, drill: &str) {
    place.config(&format!(
        "[[backup]]\nname = 'x'\npath = 'made/{name}'\nexpect = ['conditions']\n\
         [drill]\nevidence = 'drills'\n{drill}"
    ));
}

#[test]
fn a_dump_of_hypertables_is_counted_and_restored_with_the_steps_that_its_extension_wants() {
    if crate::needs::postgres().is_none() {
        return;
    }
    let place = Place::new();
    place.make_in_postgres(PROGRAMS, MAKE);
    let programs = place.path("made/pg/bin").display().to_string();
    let place = place.env("PATH", &format!("{programs}:/usr/bin:/bin"));
    for name in ["metrics.dump", "metrics.sql"] {
        configured(&place, name, HOOKS);
        // The table's own rows are none: those of its parts count.
        let ran = place.run(&[]);
        ran.says("backup.expected", name, "pass", "1 thing");
        let ran = place.run(&["drill"]);
        ran.exits(0)
            .says("drill.restored", name, "pass", "restored in");
        ran.says("drill.rows", name, "pass", "the 32 rows");
        ran.says("drill.query", "conditions", "pass", "true");
        // Then a check of every night has its evidence.
        place.run(&[]).exits(0);
        fs::remove_dir_all(place.path("drills")).expect("there");

        // Without the steps it is the server that is not ready, and the message says what it wants.
        configured(&place, name, "");
        let ran = place.run(&["drill"]);
        let (status, why) = ran.check("drill.restored", name);
        assert!(why.contains("hyper_pre_restore"), "{name}: {status} {why}");
        assert_ne!(status, "pass", "{name}");
        let _ = fs::remove_dir_all(place.path("drills"));
    }
}
