//! LZ4 frames ("LZ4 Frame Format Description" in the documentation of lz4).
//!
//! The decoder that does the work takes the end of its input for the end of a frame. So this
//! follows the frames as their bytes pass by, and knows whether the last one has its end mark and
//! checksum.

use std::io::{self, BufRead, ErrorKind, Read};

use lz4_flex::frame::FrameDecoder;

use super::{skippable, trailing_zeros};

/// The decompressed bytes of a row of frames.
pub(super) struct Lz4<R: BufRead> {
    decoder: FrameDecoder<Followed<R>>,
    /// Stops behind the first.
    first: bool,
}

impl<R: BufRead> Lz4<R> {
    /// Of all frames, or of the first.
    pub(super) fn new(reader: R, first: bool) -> Lz4<R> {
        let followed = Followed {
            reader,
            place: FramePart::Magic(0),
            checksums: (false, false),
            magic: Vec::new(),
        };
        Lz4 {
            decoder: FrameDecoder::new(followed),
            first,
        }
    }
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let source = self.decoder.get_mut();
            match source.place {
                FramePart::Magic(0) if self.first => return Ok(0),
                // The decoder stops behind each frame.
                FramePart::Magic(0) if trailing_zeros(&mut source.reader)? => return Ok(0),
                FramePart::Magic(0) => {}
                _ => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "an LZ4 frame has no end mark",
                    ));
                }
            }
        }
    }
}

/// A reader that knows where in a frame it is.
struct Followed<R> {
    reader: R,
    place: FramePart,
    /// Whether blocks, and the whole content, have a checksum.
    checksums: (bool, bool),
    /// What was read of the next frame to see that it is not one to be skipped.
    magic: Vec<u8>,
}

/// Where in a frame the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramePart {
    /// In the magic number, so many bytes of it read. With none, between frames.
    Magic(u8),
    /// The byte of flags.
    Flags,
    /// Before so many bytes of the rest of the header.
    Header(u8),
    /// In the size of a block: bytes of it read, and their value.
    Size(u8, u32),
    /// Before so many bytes of a block and its checksum.
    Block(u64),
    /// Before so many bytes of the checksum at the end.
    Checksum(u8),
}

impl<R: BufRead> Read for Followed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.place == FramePart::Magic(0) && self.magic.is_empty() {
            self.magic = skippable::next_magic(&mut self.reader)?;
        }
        let read = if self.magic.is_empty() {
            self.reader.read(buffer)?
        } else {
            let read = self.magic.len().min(buffer.len());
            buffer[..read].copy_from_slice(&self.magic[..read]);
            self.magic.drain(..read);
            read
        };
        let mut bytes = &buffer[..read];
        while let Some((first, rest)) = bytes.split_first() {
            if let FramePart::Block(left) = self.place {
                let skipped = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.place = next_block(left - skipped as u64);
                bytes = &bytes[skipped..];
            } else {
                self.step(*first);
                bytes = rest;
            }
        }
        Ok(read)
    }
}

fn next_block(left: u64) -> FramePart {
    if left == 0 {
        FramePart::Size(0, 0)
    } else {
        FramePart::Block(left)
    }
}

impl<R> Followed<R> {
    /// Takes one byte that is not in a block. Whether it is right is for the decoder to say.
    fn step(&mut self, byte: u8) {
        let (blocks, content) = self.checksums;
        self.place = match self.place {
            FramePart::Magic(3) => FramePart::Flags,
            FramePart::Magic(read) => FramePart::Magic(read + 1),
            FramePart::Flags => {
                self.checksums = (byte & 0x10 != 0, byte & 4 != 0);
                let size = if byte & 8 != 0 { 8 } else { 0 };
                let dictionary = if byte & 1 != 0 { 4 } else { 0 };
                // The sizes of blocks, and the header's checksum.
                FramePart::Header(2 + size + dictionary)
            }
            FramePart::Header(1) => FramePart::Size(0, 0),
            FramePart::Header(left) => FramePart::Header(left - 1),
            FramePart::Size(read, value) => {
                let value = value | u32::from(byte) << (8 * read);
                match (read, value) {
                    // With the bit of a block that is not compressed it is no end mark.
                    (3, 0) if content => FramePart::Checksum(4),
                    (3, 0) => FramePart::Magic(0),
                    (3, size) => {
                        let length = u64::from(size & 0x7fff_ffff);
                        FramePart::Block(length + if blocks { 4 } else { 0 })
                    }
                    _ => FramePart::Size(read + 1, value),
                }
            }
            FramePart::Checksum(1) => FramePart::Magic(0),
            FramePart::Checksum(left) => FramePart::Checksum(left - 1),
            place @ FramePart::Block(_) => place,
        };
    }
}
