//! Reads a tar archive, plain or compressed with gzip, from its first byte to its last.
//!
//! `tar -t` passes an archive that was cut between two members before it was compressed, an empty
//! one, and ten kilobytes of zeros: the two blocks of zeros at an archive's end are only looked for
//! here. gzip's checksum and length of every member are verified by reading the stream to its end.
//!
//! What the format can't show: tar has a checksum for headers only. A byte that changes in a file's
//! data of a plain archive, or before it was compressed, passes.

mod blocks;
mod header;
#[cfg(test)]
mod tests;

use std::io::{BufReader, Read};

use chaos_common::record::Contents;
use flate2::bufread::MultiGzDecoder;

use self::blocks::Blocks;
use self::header::{Attributes, BLOCK, Header, Kind};
use crate::trouble::{Trouble, count};

const BUFFER: usize = 256 << 10;
/// Bytes of a name or of attributes that are read; no writer makes more, and memory is bounded.
const MAX_EXTENSION: u64 = 1 << 20;

/// Reads an archive; gives what it holds, and the same for people.
pub(crate) fn examine(mut reader: impl Read) -> Result<(Contents, String), Trouble> {
    let mut start = [0; 6];
    let mut filled = 0;
    while filled < start.len() {
        match reader.read(&mut start[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::reading(filled as u64, &error)),
        }
    }
    let start = &start[..filled];
    let whole = start.chain(reader);
    if start.starts_with(&[0x1f, 0x8b]) {
        walk(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole)), "gzip")
    } else if let Some(codec) = other_codec(start) {
        Trouble::cannot_tell(format!("is compressed with {codec}, which this version does not decompress"))
    } else if start.starts_with(b"PGDMP") {
        Trouble::damaged("is not a tar archive, but a PostgreSQL dump in custom format")
    } else {
        walk(whole, "plain")
    }
}

fn other_codec(start: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], _); 5] = [
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"LZIP", "lzip"),
    ];
    known.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, codec)| codec)
}

/// What was seen of an archive so far.
#[derive(Default)]
struct Seen {
    members: u64,
    bytes: u64,
    last: String,
    /// What the next member's header leaves out.
    next: Attributes,
}

fn walk(reader: impl Read, codec: &str) -> Result<(Contents, String), Trouble> {
    let mut blocks = Blocks::new(reader);
    let mut seen = Seen::default();
    loop {
        let at = blocks.position();
        let Some(block) = blocks.block()? else {
            return no_end(at, &seen);
        };
        if block == [0; BLOCK] {
            break;
        }
        let header = header::parse(&block).map_err(|why| not_a_member(at, &seen, why))?;
        member(&mut blocks, header, at, &mut seen)?;
    }
    end(&mut blocks)?;
    if seen.members == 0 {
        return Trouble::damaged("is an archive without any member");
    }
    if seen.next != Attributes::default() {
        return Trouble::damaged("is damaged: it ends with the attributes of a member that does not follow");
    }
    let message = format!(
        "{} with {} of files, read to the end marks and the end of the file ({codec})",
        count(seen.members, "member"),
        count(seen.bytes, "byte")
    );
    Ok((Contents::Tar { members: seen.members, unpacked_bytes: seen.bytes }, message))
}

fn not_a_member(at: u64, seen: &Seen, why: &str) -> Trouble {
    if at == 0 {
        return Trouble::Damaged("is not a tar archive: it does not begin with a member's header".to_owned());
    }
    Trouble::Damaged(format!(
        "is damaged at byte {at} of the archive, behind member {:?} (number {}): {why}",
        seen.last, seen.members
    ))
}

fn no_end<T>(at: u64, seen: &Seen) -> Result<T, Trouble> {
    if at == 0 {
        return Trouble::damaged("is empty once it is unpacked: what made the archive wrote nothing");
    }
    Trouble::damaged(format!(
        "is cut: it ends at byte {at} of the archive, behind member {:?} (number {}), without the end marks",
        seen.last, seen.members
    ))
}

/// Reads what belongs to one header.
fn member(blocks: &mut Blocks<impl Read>, header: Header, at: u64, seen: &mut Seen) -> Result<(), Trouble> {
    match header.kind {
        Kind::LongName => seen.next.path = Some(header::text(&extension(blocks, &header, at)?)),
        Kind::LongLink => seen.next.link = Some(header::text(&extension(blocks, &header, at)?)),
        Kind::Pax => {
            let before = std::mem::take(&mut seen.next);
            let records = extension(blocks, &header, at)?;
            let read = Attributes::parse(&records)
                .ok_or_else(|| not_a_member(at, seen, "attributes are not of the form that pax gives them"))?;
            seen.next = Attributes {
                path: read.path.or(before.path),
                link: read.link.or(before.link),
                size: read.size.or(before.size),
            };
        }
        Kind::Global => {
            extension(blocks, &header, at)?;
        }
        _ => file(blocks, header, seen)?,
    }
    Ok(())
}

/// Reads a member that is something by itself.
fn file(blocks: &mut Blocks<impl Read>, header: Header, seen: &mut Seen) -> Result<(), Trouble> {
    let next = std::mem::take(&mut seen.next);
    let name = next.path.unwrap_or(header.name);
    let link = next.link.unwrap_or(header.link);
    let size = if header.kind == Kind::Special { 0 } else { next.size.unwrap_or(header.size) };
    if let Some(why) = header::leads_out(&name) {
        return Trouble::damaged(format!("is not safe to unpack: the path of member {name:?} {why}"));
    }
    if let (Kind::HardLink, Some(why)) = (header.kind, header::leads_out(&link)) {
        return Trouble::damaged(format!("is not safe to unpack: member {name:?} links to {link:?}, which {why}"));
    }
    let mut map_goes_on = header.map_goes_on;
    while map_goes_on {
        // A block of 21 pieces of the map, then the mark of another one.
        match blocks.block()? {
            Some(block) => map_goes_on = block[504] != 0,
            None => return no_end(blocks.position(), seen),
        }
    }
    blocks.data(size, &name, |_| {})?;
    seen.members += 1;
    if matches!(header.kind, Kind::File | Kind::Sparse) {
        seen.bytes = seen.bytes.saturating_add(size);
    }
    seen.last = name;
    Ok(())
}

/// Reads a name or attributes.
fn extension(blocks: &mut Blocks<impl Read>, header: &Header, at: u64) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    let keep = |part: &[u8]| {
        if bytes.len() as u64 <= MAX_EXTENSION {
            bytes.extend_from_slice(part);
        }
    };
    blocks.data(header.size, "the name or attributes of the next member", keep)?;
    if bytes.len() as u64 > MAX_EXTENSION {
        return Trouble::damaged(format!(
            "is damaged: a name or attributes of {} bytes at byte {at} of the archive",
            header.size
        ));
    }
    Ok(bytes)
}

/// One block of zeros was read: the second must follow, and then nothing but zeros.
fn end(blocks: &mut Blocks<impl Read>) -> Result<(), Trouble> {
    let at = blocks.position();
    match blocks.block()? {
        Some(block) if block == [0; BLOCK] => {}
        Some(_) => {
            return Trouble::damaged(format!(
                "is damaged: a lone block of zeros before byte {at} of the archive, and data behind it"
            ));
        }
        None => {
            return Trouble::damaged(format!(
                "is cut: it ends at byte {at} of the archive, after one of two end marks"
            ));
        }
    }
    loop {
        let at = blocks.position();
        match blocks.block()? {
            None => return Ok(()),
            Some(block) if block == [0; BLOCK] => {}
            Some(_) => return Trouble::damaged(format!("has data behind its end marks, at byte {at} of the archive")),
        }
    }
}
