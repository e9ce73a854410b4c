//! Members that are sparse in the way of pax (GNU tar's manual, "Storing Sparse Files"): what is
//! stored of the file are its regions of data, and a map of where they are. The crate `tar` expands
//! those of the old GNU format only.
//!
//! Regions are read one behind the other, which is how all writers store them: GNU tar begins each
//! with a block of the archive, but makes no region but the last of anything else than blocks.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use tar::{Archive, Builder, Entry, EntryType, Header};

/// The unit that an archive is made of.
const BLOCK: usize = 512;
/// Digits of a number of a map at most; an offset in a file has 19.
const MAX_DIGITS: usize = 20;

/// Why a sparse member cannot be expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SparseError {
    #[error("its format {0} is not one of 0.0, 0.1 and 1.0")]
    Format(String),
    #[error("the size of its file is not stored")]
    NoSize,
    #[error("{0:?} is no number")]
    Number(String),
    #[error("an offset has no length")]
    OddMap,
    #[error("it has {stored} regions instead of {named}")]
    Regions { stored: u64, named: u64 },
    #[error("it ends in the middle")]
    Cut,
    #[error("the region at byte {0} begins before the one before it ends")]
    Order(u64),
    #[error("the region at byte {0} leads beyond the end of the file")]
    BeyondEnd(u64),
    #[error("its regions have {regions} bytes, but {stored} are stored")]
    Stored { regions: u64, stored: u64 },
}

impl SparseError {
    fn of_member(self, path: &[u8]) -> io::Error {
        let path = String::from_utf8_lossy(path);
        let message = format!("the map of its sparse member {path} is damaged: {self}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

/// Bytes of a file that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Region {
    offset: u64,
    length: u64,
}

/// What pax says of a sparse member.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SparseRecords {
    name: Option<Vec<u8>>,
    major: Option<String>,
    minor: Option<String>,
    /// The size of the file once it is expanded.
    size: Option<String>,
    /// How many regions there are.
    regions: Option<String>,
    /// Offsets and lengths in turn.
    map: Vec<String>,
}

impl SparseRecords {
    /// `None` for a member that is not sparse in the way of pax.
    pub(super) fn of_entry(entry: &mut Entry<impl Read>) -> io::Result<Option<SparseRecords>> {
        let kind = entry.header().entry_type();
        if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
            return Ok(None);
        }
        let Some(records) = entry.pax_extensions()? else {
            return Ok(None);
        };
        // A record that is not read is one of a name with a line end, as for the crate `tar`.
        let read = records.filter_map(Result::ok);
        Ok(SparseRecords::parse(
            read.map(|record| (record.key_bytes(), record.value_bytes())),
        ))
    }

    fn parse<'a>(records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Option<SparseRecords> {
        let mut sparse = SparseRecords::default();
        for (key, value) in records {
            let Some(key) = key.strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            let text = String::from_utf8_lossy(value);
            match key {
                b"name" => sparse.name = Some(value.to_owned()),
                b"major" => sparse.major = Some(text.into_owned()),
                b"minor" => sparse.minor = Some(text.into_owned()),
                b"size" | b"realsize" => sparse.size = Some(text.into_owned()),
                b"numblocks" => sparse.regions = Some(text.into_owned()),
                b"offset" | b"numbytes" => sparse.map.push(text.into_owned()),
                b"map" => sparse.map = text.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        (sparse != SparseRecords::default()).then_some(sparse)
    }

    /// The name of the file; what its member is called need not be it.
    pub(super) fn into_name(self) -> Option<Vec<u8>> {
        self.name
    }

    /// Whether the map stands before the data (1.0), or else in the records (0.0 and 0.1).
    fn map_is_stored(&self) -> Result<bool, SparseError> {
        let major = self.major.as_deref().unwrap_or("0");
        let minor = self.minor.as_deref().unwrap_or("0");
        match (major, minor) {
            ("1", "0") => Ok(true),
            ("0", "0" | "1") => Ok(false),
            _ => Err(SparseError::Format(format!("{major}.{minor}"))),
        }
    }

    fn size(&self) -> Result<u64, SparseError> {
        number(self.size.as_deref().ok_or(SparseError::NoSize)?)
    }

    /// The map that is in the records.
    fn regions(&self) -> Result<Vec<Region>, SparseError> {
        let (pairs, rest) = self.map.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(SparseError::OddMap);
        }
        if let Some(named) = &self.regions {
            let (stored, named) = (pairs.len() as u64, number(named)?);
            if stored != named {
                return Err(SparseError::Regions { stored, named });
            }
        }
        pairs
            .iter()
            .map(|[offset, length]| {
                Ok(Region {
                    offset: number(offset)?,
                    length: number(length)?,
                })
            })
            .collect()
    }
}

fn number(text: &str) -> Result<u64, SparseError> {
    text.parse()
        .map_err(|_| SparseError::Number(text.to_owned()))
}

/// Writes the file of a sparse member into the folder, its holes as holes. `false` if its name
/// leads out of the folder.
pub(super) fn unpack_in(
    folder: &Path,
    entry: &mut Entry<impl Read>,
    records: &SparseRecords,
) -> io::Result<bool> {
    let name = match &records.name {
        Some(name) => name.clone(),
        None => entry.path_bytes().into_owned(),
    };
    let damaged = |error: SparseError| error.of_member(&name);
    let Some(path) = path_inside(&name) else {
        return Ok(false);
    };
    let size = records.size().map_err(damaged)?;
    let stored = entry.size();
    let (regions, map_bytes) = if records.map_is_stored().map_err(damaged)? {
        stored_map(entry).map_err(damaged)?
    } else {
        (records.regions().map_err(damaged)?, 0)
    };
    check(&regions, size, stored.saturating_sub(map_bytes)).map_err(damaged)?;
    let mode = entry.header().mode()? & 0o777;
    let mut file = create(folder, &path, entry.header())?;
    expand(entry, &regions, size, &mut file)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    Ok(true)
}

/// A name as a path below a folder, as the crate `tar` takes it. `None` if it leads out.
fn path_inside(name: &[u8]) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new(std::ffi::OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::ParentDir => return None,
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    Some(path).filter(|path| !path.as_os_str().is_empty())
}

/// Makes an empty file, by way of an archive of it: links that lead out of the folder, and files
/// that are there already, are the crate's to treat.
fn create(folder: &Path, path: &Path, like: &Header) -> io::Result<File> {
    let mut header = Header::new_gnu();
    header.set_mode(0o600);
    header.set_mtime(like.mtime().unwrap_or_default());
    header.set_size(0);
    let mut archive = Builder::new(Vec::new());
    archive.append_data(&mut header, path, io::empty())?;
    for entry in Archive::new(&archive.into_inner()?[..]).entries()? {
        entry?.unpack_in(folder)?;
    }
    OpenOptions::new().write(true).open(folder.join(path))
}

/// Reads the map before a member's data: the number of regions, then the offset and the length of
/// each, a number a line, filled up to a block. Gives also the bytes that it takes.
fn stored_map(entry: &mut impl Read) -> Result<(Vec<Region>, u64), SparseError> {
    let mut map = MapReader {
        entry,
        block: [0; BLOCK],
        at: BLOCK,
        bytes: 0,
    };
    // What it names need not be there: memory grows with what is read.
    let mut regions = Vec::new();
    for _ in 0..map.number()? {
        regions.push(Region {
            offset: map.number()?,
            length: map.number()?,
        });
    }
    Ok((regions, map.bytes))
}

/// Reads a map block by block.
struct MapReader<'a, R> {
    entry: &'a mut R,
    block: [u8; BLOCK],
    /// Where in the block the next number begins.
    at: usize,
    /// Bytes that are read of the member.
    bytes: u64,
}

impl<R: Read> MapReader<'_, R> {
    fn number(&mut self) -> Result<u64, SparseError> {
        let mut digits = String::new();
        loop {
            if self.at == BLOCK {
                let read = self.entry.read_exact(&mut self.block);
                read.map_err(|_| SparseError::Cut)?;
                self.at = 0;
                self.bytes += BLOCK as u64;
            }
            let byte = self.block[self.at];
            self.at += 1;
            if byte == b'\n' {
                return number(&digits);
            }
            digits.push(char::from(byte));
            if !byte.is_ascii_digit() || digits.len() > MAX_DIGITS {
                return Err(SparseError::Number(digits));
            }
        }
    }
}

/// Whether the regions follow each other, within the file, and are all that is stored.
fn check(regions: &[Region], size: u64, stored: u64) -> Result<(), SparseError> {
    let (mut end, mut bytes) = (0, 0);
    for Region { offset, length } in regions.iter().copied() {
        if offset < end {
            return Err(SparseError::Order(offset));
        }
        end = offset
            .checked_add(length)
            .filter(|end| *end <= size)
            .ok_or(SparseError::BeyondEnd(offset))?;
        bytes += length;
    }
    if bytes != stored {
        return Err(SparseError::Stored {
            regions: bytes,
            stored,
        });
    }
    Ok(())
}

/// Writes the regions where they belong.
fn expand(data: &mut impl Read, regions: &[Region], size: u64, file: &mut File) -> io::Result<()> {
    for Region { offset, length } in regions.iter().copied() {
        file.seek(SeekFrom::Start(offset))?;
        if io::copy(&mut data.by_ref().take(length), file)? != length {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive ends in the middle of a sparse member",
            ));
        }
    }
    file.set_len(size)?;
    file.flush()
}

#[cfg(test)]
pub(super) mod tests;
