//! Dumps that were written in other ways than to a file (see `tests/fixtures/make-written.sh`).

use super::{check, damage, good, rows};

/// What `pg_dump -Fc DATABASE > FILE` of these versions makes.
fn appended() -> [(u8, Vec<u8>); 3] {
    [
        (16, fixture!("appended-16.dump")),
        (17, fixture!("appended-17.dump")),
        (18, fixture!("appended-18.dump")),
    ]
}

/// Where the second table of contents begins: as many bytes before the end as the first has.
fn second_contents(dump: &[u8]) -> usize {
    use super::super::{header, header::Form, input::Input, toc};
    let mut input = Input::new(dump, Some(dump.len() as u64));
    let header = header::read(&mut input, Form::Custom).expect("a header");
    let first = usize::try_from(input.position()).expect("small");
    toc::read(&mut input, &header, Form::Custom).expect("a table of contents");
    let number = 5;
    dump.len() - (usize::try_from(input.position()).expect("small") - first) - number
}

#[test]
fn a_second_table_of_contents_behind_the_data_is_no_damage() {
    for (version, dump) in appended() {
        let found = good(&dump);
        assert_eq!(rows(&found, "public.users"), Some(30), "{version}");
        let before = second_contents(&dump);
        let found = good(&dump[..before]);
        assert_eq!(rows(&found, "public.users"), Some(30), "{version}, piped");
    }
}

#[test]
fn the_second_table_of_contents_is_whole_and_the_same() {
    for (version, dump) in appended() {
        let before = second_contents(&dump);
        for length in (before + 1..dump.len()).filter(|at| at % 37 == 0 || dump.len() - at < 9) {
            assert!(check(&dump[..length]).is_err(), "{version}, {length} bytes");
        }
        for at in (before..dump.len()).filter(|at| at % 11 == 0 || at - before < 9) {
            let mut flipped = dump.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(check(&flipped).is_err(), "{version}, byte {at}");
        }
        let twice = [&dump[..], &dump[before..]].concat();
        let why = damage(&twice);
        assert!(why.contains("behind its second table of contents"), "{why}");
        let why = damage(&[&dump[..], b"x"].concat());
        assert!(why.contains("behind its second table of contents"), "{why}");
    }
}

#[test]
fn a_definition_that_differs_between_the_tables_of_contents_is_damage() {
    for (version, dump) in appended() {
        let name = dump
            .windows(13)
            .position(|part| part == b"orders_rest (")
            .expect("a definition");
        let mut changed = dump;
        changed[name] = b'O';
        let why = damage(&changed);
        assert!(why.contains("table of contents"), "{version}: {why}");
    }
}

#[test]
fn a_dump_in_tar_format_is_read() {
    for dump in [fixture!("tar-15.tar"), fixture!("tar-17.tar")] {
        let found = good(&dump);
        assert_eq!(rows(&found, "public.users"), Some(30));
        assert!(
            found.message.contains("1 large object"),
            "{}",
            found.message
        );
        let written = dump.iter().rposition(|byte| *byte != 0).expect("a byte");
        for length in (0..=written).step_by(97) {
            assert!(check(&dump[..length]).is_err(), "{length} bytes");
        }
    }
}

/// An archive without this member, or with it twice.
fn with_member(archive: &[u8], wanted: &str, times: usize) -> Vec<u8> {
    let mut changed = tar::Builder::new(Vec::new());
    let mut members = tar::Archive::new(archive);
    for member in members.entries().expect("an archive") {
        let mut member = member.expect("a member");
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut member, &mut bytes).expect("whole");
        let name = member.path().expect("a name").display().to_string();
        for _ in 0..if name == wanted { times } else { 1 } {
            let header = member.header().clone();
            changed.append(&header, &bytes[..]).expect("memory");
        }
    }
    changed.into_inner().expect("memory")
}

#[test]
fn members_of_a_dump_in_tar_format_are_there_once() {
    let dump = fixture!("tar-17.tar");
    let mut archive = tar::Archive::new(&dump[..]);
    let names: Vec<String> = archive
        .entries()
        .expect("an archive")
        .map(|member| {
            member
                .expect("a member")
                .path()
                .expect("a name")
                .display()
                .to_string()
        })
        .collect();
    assert!(names.len() > 6, "{names:?}");
    for name in names.iter().filter(|name| *name != "restore.sql") {
        damage(&with_member(&dump, name, 0));
        damage(&with_member(&dump, name, 2));
    }
    good(&with_member(&dump, "restore.sql", 0));
}
