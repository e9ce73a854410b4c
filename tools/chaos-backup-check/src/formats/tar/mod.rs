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

use std::io::BufRead;

use ::tar::EntryType;
use chaos_common::record::{Check, Contents, Status};

use self::blocks::Blocks;
use self::header::{Attributes, BLOCK, Header};
use crate::formats::error::{FormatError, count};
use crate::formats::inspection::{Expectations, Inspection};

/// Bytes of zeros that may follow the end marks: writers fill the last record, of ten kilobytes by
/// default.
const MAX_PADDING: u64 = 16 << 20;
/// Bytes of symbolic links that are remembered.
const MAX_LINKS: usize = 4 << 20;
/// What begins the attributes of a member in archives of Solaris, which are those of pax.
const SOLARIS_HEADER: u8 = b'X';
/// Bytes of a name or of attributes that are read; no writer makes more, and memory is bounded.
const MAX_EXTENSION: u64 = 1 << 20;

/// What is done with the members of an archive while it is read.
pub(crate) trait Visitor {
    /// A file of so many bytes begins.
    ///
    /// # Errors
    ///
    /// It is not wanted here.
    fn begins(&mut self, name: &str, size: u64) -> Result<(), FormatError>;
    /// Some bytes of it.
    ///
    /// # Errors
    ///
    /// They are not as they must be.
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormatError>;
    /// It is at its end.
    ///
    /// # Errors
    ///
    /// It may not end so.
    fn ends(&mut self) -> Result<(), FormatError>;
}

/// Nobody looks into the members.
impl Visitor for () {
    fn begins(&mut self, _name: &str, _size: u64) -> Result<(), FormatError> {
        Ok(())
    }
    fn bytes(&mut self, _bytes: &[u8]) -> Result<(), FormatError> {
        Ok(())
    }
    fn ends(&mut self) -> Result<(), FormatError> {
        Ok(())
    }
}

/// Shows the files of a decompressed archive to `visitor`, to its last byte.
///
/// # Errors
///
/// It is damaged, cannot be read to its end, or the visitor does not want it.
pub(crate) fn walk(reader: impl BufRead, visitor: &mut impl Visitor) -> Result<(), FormatError> {
    let want = Expectations::default();
    ArchiveReader::new(reader, &want, visitor).read().map(drop)
}

/// Reads an archive that is decompressed.
///
/// # Errors
///
/// It is damaged, or cannot be read to its end.
pub fn examine(
    reader: impl BufRead,
    want: &Expectations,
    object: &str,
) -> Result<Inspection, FormatError> {
    let seen = ArchiveReader::new(reader, want, &mut ()).read()?;
    let message = format!(
        "{} with {} of files, read to the end marks and the end of the file",
        count(seen.members, "member"),
        count(seen.bytes, "byte")
    );
    let place = |name: &String| {
        want.expect
            .iter()
            .position(|expected| expected == name)
            .and_then(|at| seen.expected[at])
    };
    let mut checks = vec![restorable(&seen, object)];
    checks.extend(want.judge(object, "byte", place));
    if let Some((link, target)) = seen.outside.first() {
        checks.push(outside(link, target, seen.outside.len(), object));
    }
    checks.extend(seen.absolute.as_ref().map(|name| absolute(name, object)));
    Ok(Inspection {
        contents: Contents::Tar {
            members: seen.members,
            unpacked_bytes: seen.bytes,
        },
        message,
        checks,
        objects: Vec::new(),
        created: None,
        limit: "changed bytes of files: tar has checksums of headers only",
    })
}

/// The check of whether there is anything to restore. A volume that was not mounted makes an
/// archive of an empty folder every night.
fn restorable(seen: &Archive, object: &str) -> Check {
    const ID: &str = "backup.restorable";
    if seen.files == 0 {
        let members = count(seen.members, "member");
        let message = format!("holds {members}, and no file among them");
        return Check::fail(ID, object, message)
            .hint("see whether the folder that is backed up was there: is its volume mounted?");
    }
    let files = count(seen.files, "file");
    if seen.bytes == 0 {
        return Check::new(
            ID,
            object,
            Status::Warn,
            format!("holds {files} without a byte"),
        );
    }
    Check::pass(ID, object, format!("holds {files}"))
}

/// The check of names that begin with a slash.
fn absolute(name: &str, object: &str) -> Check {
    let message = format!(
        "holds absolute names, such as {name:?}: whatever unpacks it takes the first slash off, \
         or writes over what is there (tar -P)"
    );
    Check::new("backup.names", object, Status::Warn, message)
        .hint("make it with tar -C / and names without the slash")
}

/// The check of symbolic links that lead out of the folder that the archive is unpacked in.
fn outside(link: &str, target: &str, number: usize, object: &str) -> Check {
    let links = count(number as u64, "symbolic link");
    let message =
        format!("{links} to outside of the folder that it is unpacked in: {link:?} to {target:?}");
    Check::new("backup.links", object, Status::Warn, message)
        .hint("what they lead to is not in this backup, and is another machine's after a restore")
}

/// What an archive holds, as far as it was read.
#[derive(Default)]
struct Archive {
    members: u64,
    /// Members that are files, or hard links to them.
    files: u64,
    bytes: u64,
    last: String,
    /// What the next member's header leaves out.
    next: Attributes,
    /// Whether each member that is expected was there, and if so whether it holds something.
    expected: Vec<Option<bool>>,
    /// Symbolic links that lead out of the archive, and where to.
    outside: Vec<(String, String)>,
    outside_bytes: usize,
    /// The first absolute name.
    absolute: Option<String>,
}

impl Archive {
    fn not_a_member(&self, at: u64, why: &str) -> FormatError {
        if at == 0 {
            return FormatError::Damaged(format!(
                "is not a tar archive: it does not begin with a member's header ({why})"
            ));
        }
        FormatError::Damaged(format!(
            "is damaged at byte {at} of the archive, behind member {:?} (number {}): {why}",
            self.last, self.members
        ))
    }

    fn no_end<T>(&self, at: u64) -> Result<T, FormatError> {
        if at == 0 {
            return FormatError::damaged(
                "is empty once it is unpacked: what made the archive wrote nothing",
            );
        }
        FormatError::damaged(format!(
            "is cut: it ends at byte {at} of the archive, behind member {:?} (number {}), without the end marks",
            self.last, self.members
        ))
    }
}

/// Reads an archive block by block.
struct ArchiveReader<'w, R, V> {
    blocks: Blocks<R>,
    want: &'w Expectations,
    visitor: &'w mut V,
    seen: Archive,
}

impl<'w, R: BufRead, V: Visitor> ArchiveReader<'w, R, V> {
    fn new(reader: R, want: &'w Expectations, visitor: &'w mut V) -> ArchiveReader<'w, R, V> {
        let seen = Archive {
            expected: vec![None; want.expect.len()],
            ..Archive::default()
        };
        ArchiveReader {
            blocks: Blocks::new(reader),
            want,
            visitor,
            seen,
        }
    }

    /// Reads it from the first byte to the last.
    fn read(mut self) -> Result<Archive, FormatError> {
        loop {
            let at = self.blocks.position();
            let Some(block) = self.blocks.block()? else {
                return self.seen.no_end(at);
            };
            if block == [0; BLOCK] {
                break;
            }
            let header = header::parse(&block).map_err(|why| self.seen.not_a_member(at, why))?;
            self.member(header, at)?;
        }
        self.end()?;
        if self.seen.next != Attributes::default() {
            return FormatError::damaged(
                "is damaged: it ends with the attributes of a member that does not follow",
            );
        }
        Ok(self.seen)
    }

    /// Reads what belongs to one header.
    fn member(&mut self, header: Header, at: u64) -> Result<(), FormatError> {
        match header.kind {
            EntryType::GNULongName => {
                self.seen.next.path = Some(header::text(&self.extension(&header, at)?));
            }
            EntryType::GNULongLink => {
                self.seen.next.link = Some(header::text(&self.extension(&header, at)?));
            }
            kind if kind == EntryType::XHeader || kind.as_byte() == SOLARIS_HEADER => {
                let before = std::mem::take(&mut self.seen.next);
                let records = self.extension(&header, at)?;
                let read = Attributes::parse(&records).ok_or_else(|| {
                    self.seen
                        .not_a_member(at, "attributes are not of the form that pax gives them")
                })?;
                self.seen.next = Attributes {
                    path: read.path.or(before.path),
                    link: read.link.or(before.link),
                    size: read.size.or(before.size),
                    real_size: read.real_size.or(before.real_size),
                };
            }
            EntryType::XGlobalHeader => {
                self.extension(&header, at)?;
            }
            _ => self.file(header)?,
        }
        Ok(())
    }

    /// Reads a member that is something by itself.
    fn file(&mut self, header: Header) -> Result<(), FormatError> {
        let next = std::mem::take(&mut self.seen.next);
        let name = next.path.unwrap_or(header.name);
        let link = next.link.unwrap_or(header.link);
        let size = if header::has_no_data(header.kind) {
            0
        } else {
            next.size.unwrap_or(header.size)
        };
        if header::leads_out(&name) {
            return FormatError::damaged(format!(
                "is not safe to unpack: the path of member {name:?} leads out of its folder"
            ));
        }
        if header.kind == EntryType::Link && header::leads_out(&link) {
            return FormatError::damaged(format!(
                "is not safe to unpack: member {name:?} links to {link:?}, \
                 which leads out of its folder"
            ));
        }
        if header::is_absolute(&name) && self.seen.absolute.is_none() {
            self.seen.absolute = Some(name.clone());
        }
        if let Some((through, target)) = self
            .seen
            .outside
            .iter()
            .find(|(link, _)| is_beneath(&name, link))
        {
            return FormatError::damaged(format!(
                "is not safe to unpack: member {name:?} goes through the link {through:?} to {target:?}"
            ));
        }
        if header.kind == EntryType::Symlink && header::points_out(&name, &link) {
            self.seen.outside_bytes += name.len() + link.len();
            if self.seen.outside_bytes > MAX_LINKS {
                return FormatError::cannot_tell(
                    "has more symbolic links to outside of itself than are remembered",
                );
            }
            self.seen.outside.push((name.clone(), link.clone()));
        }
        let mut map_goes_on = header.map_goes_on;
        while map_goes_on {
            // A block of 21 pieces of the map, then the mark of another one.
            match self.blocks.block()? {
                Some(block) => map_goes_on = block[504] != 0,
                None => return self.seen.no_end(self.blocks.position()),
            }
        }
        let is_file = header::is_file(header.kind, &name);
        if is_file {
            self.visitor.begins(&name, size)?;
            let visitor = &mut *self.visitor;
            self.blocks
                .data(size, &name, |bytes| visitor.bytes(bytes))?;
            self.visitor.ends()?;
        } else {
            self.blocks.data(size, &name, |_| Ok(()))?;
        }
        let bytes = next.real_size.or(header.real_size).unwrap_or(size);
        self.count(header.kind, &name, bytes);
        self.seen.last = name;
        Ok(())
    }

    /// Counts a member that was read; `bytes` is its size with its holes.
    fn count(&mut self, kind: EntryType, name: &str, bytes: u64) {
        let link = matches!(kind, EntryType::Link | EntryType::Symlink);
        self.seen.members += 1;
        for (expected, found) in self.want.expect.iter().zip(&mut self.seen.expected) {
            if same(name, expected) || is_beneath(name, expected) {
                *found = Some(bytes > 0 || link || *found == Some(true));
            }
        }
        if header::is_file(kind, name) {
            self.seen.files += 1;
            self.seen.bytes = self.seen.bytes.saturating_add(bytes);
        } else if kind == EntryType::Link {
            self.seen.files += 1;
        }
    }

    /// Reads a name or attributes.
    fn extension(&mut self, header: &Header, at: u64) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        let keep = |part: &[u8]| {
            if bytes.len() as u64 <= MAX_EXTENSION {
                bytes.extend_from_slice(part);
            }
            Ok(())
        };
        self.blocks.data(
            header.size,
            "the name or attributes of the next member",
            keep,
        )?;
        if bytes.len() as u64 > MAX_EXTENSION {
            return FormatError::damaged(format!(
                "is damaged: a name or attributes of {} bytes at byte {at} of the archive",
                header.size
            ));
        }
        Ok(bytes)
    }

    /// One block of zeros was read: the second must follow, and then nothing but zeros.
    fn end(&mut self) -> Result<(), FormatError> {
        let start = self.blocks.position();
        let at = start;
        match self.blocks.block()? {
            Some(block) if block == [0; BLOCK] => {}
            Some(_) => {
                return FormatError::damaged(format!(
                    "is damaged: a lone block of zeros before byte {at} of the archive, and data behind it"
                ));
            }
            None => {
                return FormatError::damaged(format!(
                    "is cut: it ends at byte {at} of the archive, after one of two end marks"
                ));
            }
        }
        // Before the rest is read, of which there may be very much.
        if self.seen.members == 0 {
            return FormatError::damaged("is an archive without any member");
        }
        loop {
            let at = self.blocks.position();
            match self.blocks.block()? {
                None => return Ok(()),
                Some(_) if at - start > MAX_PADDING => {
                    return FormatError::damaged(format!(
                        "goes on for more than {MAX_PADDING} bytes of zeros behind its end marks"
                    ));
                }
                Some(block) if block == [0; BLOCK] => {}
                Some(_) => {
                    return FormatError::damaged(format!(
                        "has data behind its end marks, at byte {at} of the archive"
                    ));
                }
            }
        }
    }
}

/// A member's name without what makes no difference.
fn bare(name: &str) -> &str {
    let name = name.trim_start_matches('/');
    name.trim_start_matches("./").trim_end_matches('/')
}

fn same(name: &str, other: &str) -> bool {
    bare(name) == bare(other)
}

/// Whether a member is in this folder, or behind this link.
fn is_beneath(name: &str, folder: &str) -> bool {
    bare(name)
        .strip_prefix(bare(folder))
        .is_some_and(|rest| rest.starts_with('/'))
}
