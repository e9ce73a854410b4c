//! Dumps in every encoding that PostgreSQL knows with more than one byte a character, with the characters that it has of
//! each: they are text, and one whose bytes are changed is seen.

use std::fs;

use crate::place::{INSTALLED, Place};

const ENCODINGS: [&str; 15] = [
    "EUC_JP",
    "EUC_JIS_2004",
    "SJIS",
    "SHIFT_JIS_2004",
    "EUC_KR",
    "UHC",
    "JOHAB",
    "EUC_CN",
    "GBK",
    "GB18030",
    "EUC_TW",
    "BIG5",
    "LATIN1",
    "WIN1251",
    "UTF8",
];

/// A table for each encoding, with those of some thousand characters that it gives and takes back, and a dump of each in three forms.
const MAKE: &str = r#"
psql -Xq -v ON_ERROR_STOP=1 -d postgres <<'SQL'
CREATE TABLE characters AS SELECT n, chr(n) AS c FROM (
  SELECT generate_series(160, 1280) AS n UNION ALL SELECT generate_series(12288, 12800)
  UNION ALL SELECT generate_series(19968, 40869, 13) UNION ALL SELECT generate_series(44032, 55203, 17)
  UNION ALL SELECT generate_series(65281, 65500)) all_of_them;
CREATE FUNCTION held(c text, encoding name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
  RETURN convert_from(convert_to(c, encoding), encoding) = c;
EXCEPTION WHEN OTHERS THEN RETURN false; END $$;
SQL
for encoding in $ENCODINGS; do
  psql -Xqc "CREATE TABLE \"$encoding\" AS SELECT n / 16 AS line, string_agg(c, '' ORDER BY n) AS text, 1 AS one
    FROM characters WHERE held(c, '$encoding') GROUP BY 1" -d postgres
  pg_dump -E "$encoding" -t "\"$encoding\"" -Fc -Z0 -f "$encoding.dump" postgres
  pg_dump -E "$encoding" -t "\"$encoding\"" -Fp -f "$encoding.sql" postgres
  pg_dump -E "$encoding" -t "\"$encoding\"" --inserts -Fp -f "$encoding.inserts.sql" postgres
done
"#;

/// The same, with the first character beyond ASCII made one that no encoding of several bytes has.
fn broken(dump: &[u8]) -> Option<Vec<u8>> {
    let text = |bytes: &[u8]| bytes[0] == b'\t' && !bytes[1].is_ascii();
    let at = dump.windows(2).position(text)?;
    let mut broken = dump.to_owned();
    broken[at + 1..at + 3].copy_from_slice(b"\xff!");
    Some(broken)
}

#[test]
fn text_in_every_encoding_is_text_and_what_is_none_is_seen() {
    if crate::needs::postgres().is_none() {
        return;
    }
    let place = Place::new();
    place.make_in_postgres(INSTALLED, &MAKE.replace("$ENCODINGS", &ENCODINGS.join(" ")));
    place.config("");
    for encoding in ENCODINGS {
        for form in ["dump", "sql", "inserts.sql"] {
            let name = format!("made/{encoding}.{form}");
            let ran = place.run(&[&name]);
            ran.exits(0);
            let contents = ran.record()["data"]["items"][0]["contents"].to_string();
            assert!(!contents.contains("\"rows\":0"), "{name}: {contents}");
        }
        // These take any second byte, or have one byte a character.
        if ["UHC", "GBK", "BIG5", "LATIN1", "WIN1251"].contains(&encoding) {
            continue;
        }
        for form in ["dump", "sql"] {
            let dump = fs::read(place.path(&format!("made/{encoding}.{form}"))).expect("made");
            let broken = broken(&dump).expect("a character beyond ASCII");
            let name = format!("broken-{encoding}.{form}");
            place.file(&name, &broken, 0);
            let ran = place.run(&[&name]);
            assert!(
                ran.exits(1)
                    .everything()
                    .contains("holds bytes that are not"),
                "{name}"
            );
        }
    }
}
