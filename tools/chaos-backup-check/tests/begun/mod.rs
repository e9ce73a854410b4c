//! Fixtures are old, and say so in their headers; a test that wants a backup of today gives them
//! another.

/// The same dump, or table of contents, as if it had been begun today at noon, which is now at some
/// place of the world. The same fixture has the same digest all day.
pub(crate) fn today(mut dump: Vec<u8>) -> Vec<u8> {
    assert!(dump.starts_with(b"PGDMP"), "no dump with a header");
    // Behind three bytes of version and three of sizes comes the compression: a number, and from
    // 1.15 on a byte.
    let compression = if dump[6] < 15 { 5 } else { 1 };
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let fields = [
        0,
        0,
        12,
        i16::from(now.day()),
        i16::from(now.month()) - 1,
        now.year() - 1900,
    ];
    for (number, value) in fields.into_iter().enumerate() {
        let at = 11 + compression + 5 * number;
        let value = i32::from(value).to_le_bytes();
        dump[at..at + 5].copy_from_slice(&[0, value[0], value[1], value[2], value[3]]);
    }
    dump
}
