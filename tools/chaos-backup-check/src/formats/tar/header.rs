//! The header of a tar member: the "ustar Interchange Format" and the "pax Header Block" of POSIX's
//! `pax`, with GNU tar's extensions ("Basic Tar Format" in its manual).
//!
//! The crate `tar` knows where fields are. Where it reads them otherwise than GNU tar does, which
//! will unpack the archive, they are read here: numbers that are blank or too large, sums of signed
//! bytes, prefixes whatever the version of ustar says, and attributes with line ends in them.

use tar::EntryType;

/// The unit that an archive is made of.
pub(super) const BLOCK: usize = 512;
/// The largest file that Linux knows of.
const MAX_SIZE: u64 = i64::MAX as u64;

/// Whether a member has no data, whatever its size field says. A hard link with data is something
/// that POSIX allows, and that GNU tar and Go read as one without.
pub(super) fn has_no_data(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

/// Whether a member is a file with bytes of its own. Old archives have folders that are files by
/// their kind, and have a slash at the end of their name.
pub(super) fn is_file(kind: EntryType, name: &str) -> bool {
    let file = matches!(
        kind,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse
    );
    file && !name.ends_with('/')
}

/// A header's fields.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: EntryType,
    pub(super) name: String,
    pub(super) link: String,
    /// Bytes of data that follow.
    pub(super) size: u64,
    /// Of a sparse file: the bytes that it has with its holes.
    pub(super) real_size: Option<u64>,
    /// Whether more blocks of a sparse file's map follow.
    pub(super) map_goes_on: bool,
}

/// Reads a header block. `Err` says what is wrong with it.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Header, &'static str> {
    let stored =
        number(&block[148..156]).ok_or("no member begins here: the checksum is no number")?;
    if !checksums(block).contains(&stored) {
        return Err("no member begins here, or its header is damaged: the checksum is wrong");
    }
    let header = tar::Header::from_byte_slice(block);
    let kind = header.entry_type();
    let size = if has_no_data(kind) {
        0
    } else {
        number(&block[124..136]).ok_or("the size in the header is no number")?
    };
    if size > MAX_SIZE {
        return Err("the size in the header is beyond what a file can have");
    }
    // The prefix is POSIX's; GNU tar keeps other things there.
    let posix = &block[257..263] == b"ustar\0";
    let prefix = if posix {
        text(&block[345..500])
    } else {
        String::new()
    };
    let base = text(&block[..100]);
    let sparse = kind == EntryType::GNUSparse;
    Ok(Header {
        kind,
        name: if prefix.is_empty() {
            base
        } else {
            format!("{prefix}/{base}")
        },
        link: header
            .link_name_bytes()
            .map(|link| text(&link))
            .unwrap_or_default(),
        size,
        real_size: number(&block[483..495]).filter(|_| sparse),
        map_goes_on: sparse && block[482] != 0,
    })
}

/// The sum of a header's bytes, its own field counted as blanks; and the sum of them as signed
/// bytes, which some old writers stored.
fn checksums(block: &[u8; BLOCK]) -> [u64; 2] {
    let (mut unsigned, mut signed) = (0_u64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) {
            b' '
        } else {
            *byte
        };
        unsigned += u64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    [unsigned, u64::try_from(signed).unwrap_or(unsigned)]
}

/// A number in octal digits, or in base 256 if its first bit is set (GNU).
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let mut bytes = field.iter().copied();
        let first = u64::from(bytes.next()? & 0x7f);
        return bytes.try_fold(first, |value, byte| {
            value.checked_mul(256)?.checked_add(u64::from(byte))
        });
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        Some(0)
    } else {
        u64::from_str_radix(text, 8).ok()
    }
}

/// A field's text up to its first zero byte.
pub(super) fn text(field: &[u8]) -> String {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// Attributes that pax puts before a member.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) path: Option<String>,
    pub(super) link: Option<String>,
    pub(super) size: Option<u64>,
    /// Of a sparse file: the bytes that it has with its holes.
    pub(super) real_size: Option<u64>,
}

impl Attributes {
    /// Reads records of the form `LENGTH KEY=VALUE\n`. `None` if they are not of that form.
    pub(super) fn parse(mut records: &[u8]) -> Option<Attributes> {
        let mut attributes = Attributes::default();
        while !records.is_empty() {
            let blank = memchr::memchr(b' ', records)?;
            let length: usize = std::str::from_utf8(&records[..blank]).ok()?.parse().ok()?;
            let (record, rest) = records.split_at_checked(length)?;
            let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
            let (key, value) = record.split_at_checked(memchr::memchr(b'=', record)?)?;
            let value = String::from_utf8_lossy(&value[1..]).into_owned();
            match key {
                b"path" | b"GNU.sparse.name" => attributes.path = Some(value),
                b"linkpath" => attributes.link = Some(value),
                b"size" => {
                    attributes.size = Some(value.parse().ok().filter(|size| *size <= MAX_SIZE)?);
                }
                b"GNU.sparse.realsize" | b"GNU.sparse.size" => {
                    attributes.real_size = value.parse().ok();
                }
                _ => {}
            }
            records = rest;
        }
        Some(attributes)
    }
}

/// Whether a member's name is absolute, as `tar -P` writes it. Who unpacks the archive takes the
/// slash off.
pub(super) fn is_absolute(name: &str) -> bool {
    name.starts_with('/')
}

/// Whether a member's name would lead out of the folder that the archive is unpacked in.
pub(super) fn leads_out(name: &str) -> bool {
    name.split('/').any(|part| part == "..")
}

/// Whether a symbolic link with this name leads out of the folder that the archive is unpacked in.
pub(super) fn points_out(name: &str, target: &str) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let parts = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut depth = parts(name).len().saturating_sub(1);
    for part in parts(target) {
        match (part.as_str(), depth.checked_sub(1)) {
            ("..", None) => return true,
            ("..", Some(up)) => depth = up,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"00000001750\0"), Some(1000));
        assert_eq!(number(b"      1750 \0"), Some(1000));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\x10\0\0\0\0\0\0\0"), Some(1 << 60));
        assert_eq!(
            number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            None
        );
        assert_eq!(number(b"00000009\0\0\0\0"), None);
    }

    #[test]
    fn pax_records_are_read_or_refused() {
        let read = Attributes::parse(b"12 path=a/b\n17 size=123456789\n6 a=b\n");
        assert_eq!(read, None, "a length that does not fit");
        let read = Attributes::parse(b"12 path=a/b\n19 size=1234567890\n6 a=b\n").expect("good");
        assert_eq!(
            (read.path.as_deref(), read.size),
            (Some("a/b"), Some(1_234_567_890))
        );
        let read = Attributes::parse(b"12 path=a\nb\n").expect("a name may have a line end");
        assert_eq!(read.path.as_deref(), Some("a\nb"));
        assert_eq!(Attributes::parse(b"99 path=a\n"), None);
        assert_eq!(Attributes::parse(b"x"), None);
    }

    #[test]
    fn links_that_lead_out_are_told() {
        assert!(points_out("app/link", "/etc/passwd"));
        assert!(points_out("app/link", "../../etc"));
        assert!(points_out("./link", "a/../../b"));
        assert!(!points_out("app/link", "../other"));
        assert!(!points_out("app/link", "file"));
    }

    #[test]
    fn names_that_lead_out_are_told() {
        assert!(leads_out("a/../../b"));
        assert!(leads_out("/.."));
        assert!(leads_out(".."));
        assert!(!leads_out("/etc/passwd") && is_absolute("/etc/passwd"));
        assert!(!leads_out("./a/..b/c.."));
    }
}
