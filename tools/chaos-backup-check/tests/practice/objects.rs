//! Object storage with very many keys, and odd ones: a small server on the loopback interface that
//! lists and gives them as S3 does.

use crate::place::{OBJECT, Place};
use crate::server::serve;

/// Serves a bucket; gives its port. It ends with the test.
fn bucket(mut keys: Vec<(String, u32)>) -> u16 {
    keys.sort();
    serve(move |path, query| {
        let key = path.trim_start_matches("/b").trim_start_matches('/');
        respond(key, query, &keys)
    })
}

fn respond(key: &str, query: &str, keys: &[(String, u32)]) -> (String, String) {
    if query.contains("list-type=2") {
        return (
            "200 OK\r\nContent-Type: application/xml".to_owned(),
            list(query, keys),
        );
    }
    match keys.iter().find(|(name, _)| name == key) {
        Some((_, minutes)) => {
            let modified = format!(
                "Sun, 22 Nov 2026 {:02}:{:02}:00 GMT",
                minutes / 60 % 24,
                minutes % 60
            );
            let head = format!("200 OK\r\nETag: \"{minutes}\"\r\nLast-Modified: {modified}");
            (head, OBJECT.to_owned())
        }
        None => (
            "404 Not Found".to_owned(),
            "<Error><Code>NoSuchKey</Code></Error>".to_owned(),
        ),
    }
}

/// A page of the listing, as ListObjectsV2 gives it.
fn list(query: &str, keys: &[(String, u32)]) -> String {
    let value = |name: &str| {
        let found = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.map(decode)
    };
    let prefix = value("prefix").unwrap_or_default();
    let after = value("continuation-token")
        .or_else(|| value("start-after"))
        .unwrap_or_default();
    let most: usize = value("max-keys")
        .and_then(|most| most.parse().ok())
        .unwrap_or(1000);
    let start = keys.partition_point(|(key, _)| *key <= after);
    let mut found = keys[start..]
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix));
    let page: Vec<_> = found.by_ref().take(most).collect();
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
    if found.next().is_some() {
        let last = &page.last().expect("there are more").0;
        text.push_str("<NextContinuationToken>");
        text.push_str(last);
        text.push_str("</NextContinuationToken>");
    }
    let contents = |(key, minutes): &(String, u32)| {
        let size = if key.ends_with('/') { 0 } else { OBJECT.len() };
        let time = format!(
            "2026-11-22T{:02}:{:02}:00.000Z",
            minutes / 60 % 24,
            minutes % 60
        );
        format!(
            "<Contents><Key>{key}</Key><LastModified>{time}</LastModified><ETag>\"{minutes}\"</ETag>\
             <Size>{size}</Size></Contents>"
        )
    };
    text.extend(page.into_iter().map(contents));
    text + "</ListBucketResult>"
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let two: Option<[u8; 2]> =
            (byte == b'%').then(|| [rest.next(), rest.next()].map(|b| b.unwrap_or(b'0')));
        bytes.push(match two {
            Some(two) => {
                u8::from_str_radix(&String::from_utf8_lossy(&two), 16).expect("two digits")
            }
            None if byte == b'+' => b' ',
            None => byte,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn place(keys: Vec<(String, u32)>, more: &str) -> Place {
    let port = bucket(keys);
    let place = Place::new();
    place.config(&format!(
        "[s3]\nendpoint = 'http://127.0.0.1:{port}'\nregion = 'r'\naccess_key = {{ file = 'key' }}\n\
         secret_key = {{ file = 'key' }}\n[[backup]]\nname = 'x'\nkind = 'kubernetes'\nlive = false\n\
         path = 's3://b/db/'\nmax_age = '100000h'\n{more}"
    ));
    place.file("key", b"k", 1);
    place
}

fn newest(place: &Place) -> String {
    let record = place.run(&[]).exits(0).record();
    record["data"]["items"][0]["resolved"]
        .as_str()
        .expect("one")
        .to_owned()
}

fn keys(all: &[(&str, u32)]) -> Vec<(String, u32)> {
    all.iter()
        .map(|(key, minutes)| ((*key).to_owned(), *minutes))
        .collect()
}

#[test]
fn side_files_and_marks_of_folders_are_not_the_newest_object() {
    let all = keys(&[
        ("db/", 9),
        ("db/a.yaml", 1),
        ("db/b.yaml", 2),
        ("db/b.yaml.sha256", 8),
        ("db/old/", 7),
        ("db/c.tar", 6),
        ("db/b.yaml.manifest.json.x", 0),
        ("other/z.yaml", 10),
    ]);
    let include = place(all.clone(), "include = '*.yaml'");
    assert_eq!(newest(&include), "s3://b/db/b.yaml");
    let exclude = place(all.clone(), "exclude = ['b*', 'c*']");
    assert_eq!(newest(&exclude), "s3://b/db/a.yaml");
    let nothing = place(all, "include = '*.dump'");
    nothing.run(&[]).exits(1).says(
        "backup.present",
        "s3://b/db/",
        "fail",
        "no backup like *.dump",
    );
}

#[test]
fn a_key_with_an_empty_part_is_passed_over_and_told() {
    let mut all = keys(&[
        ("db/a.yaml", 1),
        ("db/z.yaml", 3),
        ("db//lost.yaml", 5),
        ("db/m//n.yaml", 6),
    ]);
    all.extend((0..2500).map(|n| (format!("db/old-{n:04}.yaml"), 0)));
    let place = place(all, "");
    assert_eq!(newest(&place), "s3://b/db/z.yaml");
    let ran = place.run(&[]);
    ran.says(
        "backup.present",
        "s3://b/db/",
        "pass",
        "\"db//lost.yaml\" and 1 more",
    );
    let only = self::place(keys(&[("db//lost.yaml", 5)]), "");
    only.run(&[])
        .exits(3)
        .says("backup.present", "s3://b/db/", "unknown", "passed over");
}

#[test]
fn of_a_hundred_thousand_keys_the_newest_is_found_in_little_memory() {
    let of = |number: u32| {
        let key = |n| {
            (
                format!("db/maps-{n:06}-of-the-cluster.yaml"),
                u32::from(n == number / 2),
            )
        };
        let place = place((0..number).map(key).collect(), "");
        let (said, kilobytes) = place.measured();
        assert!(said.contains(&format!("maps-{:06}", number / 2)), "{said}");
        kilobytes
    };
    let (few, many) = (of(1000), of(100_000));
    assert!(many < few + (8 << 10), "{few} kB and {many} kB");
}
