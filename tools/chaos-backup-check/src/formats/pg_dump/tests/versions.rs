//! Dumps in versions of the format that PostgreSQL 15 does not write: built here, or made by 17.

use std::io::Write as _;

use chaos_common::record::Contents;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{check, damage, good, rows};

/// A dump with one table and its rows, in the given version of the format.
fn build(minor: u8, codec: u8, chunks: &[&[u8]]) -> Vec<u8> {
    let int = |value: i32| {
        let mut bytes = vec![u8::from(value < 0)];
        bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes());
        bytes
    };
    let text = |text: &str| [int(i32::try_from(text.len()).expect("short")), text.into()].concat();
    let none = || int(-1);
    let entry = |id: i32, desc: &str, section: i32, copy: &str, dumped: bool| {
        let mut entry = [
            int(id),
            int(i32::from(dumped)),
            text("0"),
            text("0"),
            text("users"),
            text(desc),
        ]
        .concat();
        let definition = if desc == "ENCODING" {
            "SET client_encoding = 'UTF8';\n"
        } else {
            ""
        };
        entry.extend(
            [
                int(section),
                text(definition),
                text(""),
                text(copy),
                text("public"),
                none(),
            ]
            .concat(),
        );
        entry.extend(if minor >= 14 {
            text("heap")
        } else {
            Vec::new()
        });
        entry.extend(if minor >= 16 {
            int(i32::from(b'r'))
        } else {
            Vec::new()
        });
        entry.extend([text("postgres"), text("false"), text("2"), none()].concat());
        entry.push(if dumped { 1 } else { 3 });
        entry.extend([0; 8]);
        entry
    };
    let mut dump = b"PGDMP\x01".to_vec();
    dump.extend([minor, 0, 4, 8, 1]);
    dump.extend(if minor >= 15 {
        vec![codec]
    } else {
        int(i32::from(codec))
    });
    dump.extend([0, 30, 15, 22, 10, 126, 0].into_iter().flat_map(int));
    dump.extend([text("ecommerce"), text("17.2"), text("17.2"), int(3)].concat());
    dump.extend(entry(1, "ENCODING", 2, "", false));
    dump.extend(entry(2, "TABLE", 2, "", false));
    dump.extend(entry(
        3,
        "TABLE DATA",
        3,
        "COPY public.users (id, name) FROM stdin;\n",
        true,
    ));
    dump.push(1);
    dump.extend(int(3));
    for chunk in chunks {
        dump.extend(int(i32::try_from(chunk.len()).expect("short")));
        dump.extend_from_slice(chunk);
    }
    dump.extend(int(0));
    dump
}

#[test]
fn all_versions_of_the_format_are_read() {
    let data = b"1\talice\n2\tbob\n\\.\n\n\n";
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(data).expect("memory");
    let zlib = zlib.finish().expect("memory");
    for minor in 12..=16 {
        for dump in [
            build(minor, 0, &[&data[..5], &data[5..]]),
            build(minor, 1, &[&zlib[..3], &zlib[3..]]),
        ] {
            assert_eq!(rows(&good(&dump), "public.users"), Some(2), "1.{minor}");
            for length in 0..dump.len() {
                assert!(check(&dump[..length]).is_err(), "1.{minor} cut to {length}");
            }
        }
    }
    let trailing = build(16, 1, &[&zlib, b"x"]);
    assert!(
        damage(&trailing).contains("behind its compressed stream"),
        "{}",
        damage(&trailing)
    );
    let wrong = build(16, 0, &[b"1\talice\n2\n\\.\n\n\n"]);
    assert!(
        damage(&wrong).contains("row 2 has 1 columns, and the table 2"),
        "{}",
        damage(&wrong)
    );
    assert!(
        damage(&build(16, 1, &[])).contains("compressed stream"),
        "no stream at all"
    );
}

/// A zlib stream that goes on behind these bytes, all of which can be had from it.
fn flushed(data: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(data).expect("memory");
    zlib.flush().expect("memory");
    zlib.get_ref().clone()
}

/// A dump of these chunks and one of less than no bytes behind them.
fn with_impossible_chunk(stream: &[u8], size: usize) -> Vec<u8> {
    let mut chunks: Vec<&[u8]> = stream.chunks(size).collect();
    chunks.push(b"x");
    let mut dump = build(16, 1, &chunks);
    let sign = dump.len() - 5 - 1 - 5;
    dump[sign] = 1;
    dump
}

#[test]
fn what_is_wrong_with_a_stream_goes_before_what_is_wrong_behind_it() {
    let few = b"1\talice\n2\tbob\n".to_vec();
    let many: Vec<u8> = (0..60_000_u32)
        .flat_map(|n| format!("{n}\tuser {n}\n").into_bytes())
        .collect();
    for (rows, size) in [(&few, 7), (&many, 4096)] {
        let stream = flushed(rows);
        let why = damage(&with_impossible_chunk(&stream, size));
        assert!(why.contains("has a chunk of -1 bytes"), "{why}");
        // A block of a type that there is not.
        let damaged = [&stream[..], &[7]].concat();
        let why = damage(&with_impossible_chunk(&damaged, size));
        assert!(why.contains("does not decompress"), "{why}");
    }
    let short = [&few[..], b"3\n"].concat();
    let why = damage(&with_impossible_chunk(&flushed(&short), 7));
    assert!(why.contains("has 1 columns, and the table 2"), "{why}");
}

#[test]
fn lz4_and_zstd_are_read_to_the_end() {
    let data = b"1\talice\n2\tbob\n\\.\n\n\n";
    let zstd = zstd::encode_all(&data[..], 3).expect("memory");
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(data).expect("memory");
    let lz4 = lz4.finish().expect("memory");
    for (codec, packed) in [(2, lz4), (3, zstd)] {
        let dump = build(16, codec, &[&packed[..7], &packed[7..]]);
        assert_eq!(rows(&good(&dump), "public.users"), Some(2), "{codec}");
        for length in 0..packed.len() {
            assert!(
                check(&build(16, codec, &[&packed[..length]])).is_err(),
                "{codec}: stream cut to {length}"
            );
        }
        let more = build(16, codec, &[&packed, b"x"]);
        assert!(damage(&more).contains("public.users"), "{}", damage(&more));
        assert!(damage(&dump[..dump.len() - 1]).contains("cut"));
        assert!(damage(&build(16, codec, &[b"opaque", b"bytes"])).contains("does not decompress"));
    }
}

#[test]
fn dumps_of_postgresql_17_with_lz4_and_zstd_are_read() {
    for (name, dump) in [
        ("lz4", fixture!("lz4.dump")),
        ("zstd", fixture!("zstd.dump")),
    ] {
        let found = good(&dump);
        let Contents::Postgres {
            version,
            compression,
            server_version,
            ..
        } = &found.contents
        else {
            panic!("not a dump")
        };
        assert_eq!((version.as_str(), compression.as_str()), ("1.16", name));
        assert!(server_version.starts_with("17."), "{server_version}");
        assert_eq!(rows(&found, "public.moods"), Some(150));
        for length in (0..dump.len()).filter(|at| at % 97 == 0 || dump.len() - at < 60) {
            assert!(
                check(&dump[..length]).is_err(),
                "{name} cut to {length} of {}",
                dump.len()
            );
        }
    }
}

#[test]
fn lengths_that_cannot_be_true_do_not_fill_memory() {
    let mut dump = build(16, 0, &[b"\\.\n"]);
    let chunk = dump.len() - 5 - 3 - 5;
    dump[chunk + 1..chunk + 5].fill(0x7f);
    assert!(damage(&dump).contains("claims"), "{}", damage(&dump));
}
