//! Decompression to the last byte: gzip in any number of members, zstd and lz4 in any number of
//! frames, xz and bzip2 in any number of streams.
//!
//! A stream that ends early, goes on behind its end, or fails a checksum that it has is an error
//! here. Zeros behind gzip, bzip2 and lz4 are none: what writes to a tape or a pipe in blocks fills
//! the last one (`bsdtar -czf -`). They are for who reads such archives as well, but for zstd.

mod bzip2;
mod deflate;
mod lz4;
mod skippable;

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use lzma_rust2::XzReader;

use self::bzip2::Bzip2;
use self::deflate::{Format, Inflated};
use self::lz4::Lz4;
use crate::formats::error::FormatError;
use crate::formats::pipe::{self, BUFFER};

/// The largest window of zstd that is decoded, as a power of two: what the zstd program allows by
/// itself. It is what memory such a stream needs; by default it is 2 to 8 MB.
const ZSTD_WINDOW_LOG: u32 = 27;
/// The most memory that a stream of xz may need, in KiB: `xz -9` needs 65 MB.
const XZ_MEMORY: u32 = 160 << 10;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip, whose members have a checksum each.
    Gzip,
    /// Zstandard; the checksum is optional.
    Zstd,
    /// LZ4 frames; checksums are optional.
    Lz4,
    /// xz; every block has a checksum but with `--check=none`.
    Xz,
    /// bzip2, whose blocks have a checksum each.
    Bzip2,
}

impl Codec {
    /// The word in records.
    pub fn word(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
            Codec::Lz4 => "lz4",
            Codec::Xz => "xz",
            Codec::Bzip2 => "bzip2",
        }
    }

    /// What begins so.
    ///
    /// # Errors
    ///
    /// The name of a program whose files are not read here.
    pub(crate) fn of(start: &[u8]) -> Result<Codec, &'static str> {
        let foreign: [(&[u8], _); 5] = [
            (b"LZIP", "lzip"),
            (&[0x02, 0x21, 0x4c, 0x18], "the old format of lz4"),
            (&[0x1f, 0x9d], "compress"),
            (b"PK\x03\x04", "zip"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
        ];
        if let Some((_, name)) = foreign
            .into_iter()
            .find(|(magic, _)| start.starts_with(magic))
        {
            return Err(name);
        }
        let Some(frame) = skippable::behind(start) else {
            return Err("zstd or lz4, behind a long frame to be skipped,");
        };
        Ok(match frame {
            // Nothing but frames to be skipped: both programs make nothing of it.
            [] if !start.is_empty() => Codec::Zstd,
            [0x1f, 0x8b, ..] => Codec::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Codec::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Codec::Lz4,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Codec::Bzip2,
            _ => Codec::None,
        })
    }
}

/// A stream while it is decompressed. Its errors say what is wrong with the stream.
pub struct Unpacked<'r, R: BufRead> {
    decoder: Decoder<'r, R>,
    /// How it is compressed.
    pub codec: Codec,
    /// Whether it has a checksum over everything that is in it.
    pub checksum: bool,
}

enum Decoder<'r, R: BufRead> {
    None(R),
    Deflate(BufReader<Inflated<R>>),
    Zstd(BufReader<zstd::Decoder<'r, R>>),
    Lz4(BufReader<Lz4<R>>),
    // Its state is large.
    Xz(Box<BufReader<XzReader<R>>>),
    Bzip2(BufReader<Bzip2<R>>),
}

impl<R: BufRead> Unpacked<'_, R> {
    /// Decompresses what `reader` gives, as its first bytes say.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is compressed in a way that is not read here.
    pub fn sniff(mut reader: R) -> Result<Self, FormatError> {
        // The first bytes come at once: readers here fill their buffers.
        let start = reader
            .fill_buf()
            .map_err(|error| FormatError::reading(0, &error))?;
        let codec = Codec::of(start).map_err(|codec| {
            FormatError::CannotTell(format!(
                "is compressed with {codec}, which this version does not decompress"
            ))
        })?;
        let checksum = match codec {
            Codec::None => false,
            Codec::Gzip | Codec::Bzip2 => true,
            // The bit of the first frame's descriptor.
            Codec::Zstd | Codec::Lz4 => skippable::behind(start)
                .and_then(|frame| frame.get(4))
                .is_some_and(|descriptor| descriptor & 4 != 0),
            // The kind of check, of which 0 is none.
            Codec::Xz => start.get(7).is_some_and(|flags| flags & 15 != 0),
        };
        Ok(Unpacked {
            checksum,
            ..Unpacked::new(reader, codec)?
        })
    }

    /// Decompresses what `reader` gives.
    ///
    /// # Errors
    ///
    /// There is no memory for the decoder.
    pub fn new(reader: R, codec: Codec) -> Result<Self, FormatError> {
        Unpacked::streams(reader, codec, false)
    }

    /// Decompresses the first stream of what `reader` gives, and leaves what is behind it.
    ///
    /// # Errors
    ///
    /// There is no memory for the decoder.
    pub fn first(reader: R, codec: Codec) -> Result<Self, FormatError> {
        Unpacked::streams(reader, codec, true)
    }

    fn streams(reader: R, codec: Codec, first: bool) -> Result<Self, FormatError> {
        let memory =
            |error: io::Error| FormatError::CannotTell(format!("cannot be decompressed: {error}"));
        let decoder = match codec {
            Codec::None => Decoder::None(reader),
            Codec::Gzip => {
                let format = if first {
                    Format::FirstGzip
                } else {
                    Format::Gzip
                };
                Decoder::Deflate(buffered(Inflated::new(reader, format)))
            }
            Codec::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(reader).map_err(memory)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(memory)?;
                if first {
                    decoder = decoder.single_frame();
                }
                Decoder::Zstd(buffered(decoder))
            }
            Codec::Lz4 => Decoder::Lz4(buffered(Lz4::new(reader, first))),
            Codec::Xz => {
                let decoder = XzReader::new_mem_limit(reader, !first, XZ_MEMORY);
                Decoder::Xz(Box::new(buffered(decoder)))
            }
            Codec::Bzip2 => Decoder::Bzip2(buffered(Bzip2::new(reader, first))),
        };
        Ok(Unpacked {
            decoder,
            codec,
            checksum: false,
        })
    }

    /// Decompresses a zlib stream.
    pub(crate) fn zlib(reader: R) -> Self {
        Unpacked {
            decoder: Decoder::Deflate(buffered(Inflated::new(reader, Format::Zlib))),
            codec: Codec::Gzip,
            checksum: true,
        }
    }

    /// Lets another thread decompress ahead while `judge` takes what comes out: where both are
    /// work, they share it.
    pub fn ahead<T>(&mut self, judge: impl FnOnce(&mut (dyn BufRead + Send)) -> T) -> T
    where
        R: Send,
    {
        match &mut self.decoder {
            Decoder::None(reader) => pipe::ahead(reader, |bytes| judge(bytes)),
            Decoder::Deflate(decoder) => pipe::ahead(unbuffered(decoder), |bytes| judge(bytes)),
            Decoder::Zstd(decoder) => pipe::ahead(unbuffered(decoder), |bytes| judge(bytes)),
            Decoder::Lz4(decoder) => pipe::ahead(unbuffered(decoder), |bytes| judge(bytes)),
            Decoder::Xz(decoder) => pipe::ahead(unbuffered(decoder), |bytes| judge(bytes)),
            Decoder::Bzip2(decoder) => pipe::ahead(unbuffered(decoder), |bytes| judge(bytes)),
        }
    }
}

impl<R: BufRead> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.decoder {
            Decoder::None(reader) => reader.read(buffer),
            Decoder::Deflate(decoder) => decoder.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
            Decoder::Lz4(decoder) => decoder.read(buffer),
            Decoder::Xz(decoder) => decoder.read(buffer),
            Decoder::Bzip2(decoder) => decoder.read(buffer),
        }
    }
}

impl<R: BufRead> BufRead for Unpacked<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.decoder {
            Decoder::None(reader) => reader.fill_buf(),
            Decoder::Deflate(decoder) => decoder.fill_buf(),
            Decoder::Zstd(decoder) => decoder.fill_buf(),
            Decoder::Lz4(decoder) => decoder.fill_buf(),
            Decoder::Xz(decoder) => decoder.fill_buf(),
            Decoder::Bzip2(decoder) => decoder.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match &mut self.decoder {
            Decoder::None(reader) => reader.consume(amount),
            Decoder::Deflate(decoder) => decoder.consume(amount),
            Decoder::Zstd(decoder) => decoder.consume(amount),
            Decoder::Lz4(decoder) => decoder.consume(amount),
            Decoder::Xz(decoder) => decoder.consume(amount),
            Decoder::Bzip2(decoder) => decoder.consume(amount),
        }
    }
}

/// Reads past zeros at the end of the input; false where something else follows at once.
///
/// # Errors
///
/// Something else follows zeros, or the input cannot be read.
fn trailing_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    let mut zeros = false;
    loop {
        let there = reader.fill_buf()?;
        let Some(other) = there.iter().position(|byte| *byte != 0) else {
            let taken = there.len();
            if taken == 0 {
                return Ok(true);
            }
            reader.consume(taken);
            zeros = true;
            continue;
        };
        if zeros || other > 0 {
            let why = "something stands behind the zeros at its end";
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        return Ok(false);
    }
}

fn buffered<D: Read>(decoder: D) -> BufReader<D> {
    BufReader::with_capacity(BUFFER, decoder)
}

/// What is left in the buffer, and then the decoder itself, which so decompresses into the buffers
/// of who reads.
fn unbuffered<D: Read>(decoder: &mut BufReader<D>) -> impl Read + use<'_, D> {
    let left = decoder.buffer().to_vec();
    decoder.consume(left.len());
    Cursor::new(left).chain(decoder.get_mut())
}

/// What a reader's error means, where `position` bytes have been read: a stream that is damaged, or
/// a file that cannot be read.
pub fn trouble(error: &io::Error, position: u64) -> FormatError {
    match error.kind() {
        ErrorKind::UnexpectedEof => FormatError::Damaged(format!(
            "is cut: the compressed stream ends too early, after {position} unpacked bytes"
        )),
        // zstd's words for a window beyond the limit.
        _ if error.to_string().contains("too much memory") => FormatError::CannotTell(format!(
            "is compressed with a window of more than {} MB (zstd --long)",
            1 << (ZSTD_WINDOW_LOG - 20)
        )),
        ErrorKind::OutOfMemory => FormatError::CannotTell(format!(
            "needs more than {} MB of memory to decompress (xz with a large dictionary)",
            XZ_MEMORY >> 10
        )),
        ErrorKind::Unsupported => FormatError::CannotTell(format!(
            "is compressed in a way that this version does not decompress: {error}"
        )),
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => {
            FormatError::Damaged(format!(
                "does not decompress after {position} unpacked bytes: bytes are damaged, a checksum is wrong, or something else follows"
            ))
        }
        _ => FormatError::reading(position, error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};
    use std::process::Command;

    use super::*;

    fn text() -> Vec<u8> {
        (0..40_000_u32)
            .flat_map(|n| format!("{n}\t{}\n", n.wrapping_mul(2_654_435_761)).into_bytes())
            .collect()
    }

    fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut unpacked = Unpacked::sniff(packed).map_err(|trouble| trouble.to_string())?;
        let mut bytes = Vec::new();
        unpacked
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn packed(text: &[u8]) -> [(&'static str, Vec<u8>); 5] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).expect("memory");
        let level = ::bzip2::Compression::default();
        let mut bzip2 = ::bzip2::write::BzEncoder::new(Vec::new(), level);
        bzip2.write_all(text).expect("memory");
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(text).expect("memory");
        [
            ("gzip", gzip.finish().expect("memory")),
            ("zstd", zstd::encode_all(text, 3).expect("memory")),
            ("lz4", lz4.finish().expect("memory")),
            ("bzip2", bzip2.finish().expect("memory")),
            ("xz", by_program("xz", text)),
        ]
    }

    /// What a program makes of a text.
    fn by_program(program: &str, text: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(text).expect("written");
        file.rewind().expect("a file");
        let output = Command::new(program).arg("-c").stdin(file).output();
        let output = output.expect("scripts/setup.sh installs it");
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// A frame that a decoder passes over, as pzstd writes it.
    const SKIPPED: &[u8] = b"\x50\x2a\x4d\x18\x04\0\0\0\x11\x22\x33\x44";

    #[test]
    fn frames_to_be_skipped_are() {
        let text = text();
        for (name, packed) in packed(&text)
            .iter()
            .filter(|(name, _)| ["zstd", "lz4"].contains(name))
        {
            for (before, between, behind) in [(1, 0, 0), (3, 1, 0), (0, 0, 1), (0, 2, 2)] {
                let frames = [
                    SKIPPED.repeat(before),
                    packed.clone(),
                    SKIPPED.repeat(between),
                    packed.clone(),
                    SKIPPED.repeat(behind),
                ];
                let unpacked = unpack(&frames.concat());
                assert_eq!(unpacked.expect(name).len(), 2 * text.len(), "{name}");
            }
            for cut in 1..SKIPPED.len() {
                let frames = [&packed[..], &SKIPPED[..cut]].concat();
                assert!(unpack(&frames).is_err(), "{name}, cut to {cut} bytes");
            }
        }
    }

    #[test]
    fn the_end_mark_of_lz4_is_all_zeros() {
        let mut info = lz4_flex::frame::FrameInfo::new();
        info.content_checksum = false;
        let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        lz4.write_all(&text()).expect("memory");
        let packed = lz4.finish().expect("memory");
        unpack(&packed).expect("whole");
        for bit in 0..32 {
            let mut flipped = packed.clone();
            let byte = flipped.len() - 4 + bit / 8;
            flipped[byte] ^= 1 << (bit % 8);
            assert!(unpack(&flipped).is_err(), "bit {bit} of the end mark");
        }
    }

    #[test]
    fn streams_are_decoded_to_the_end_and_any_number_of_them() {
        let text = text();
        for (name, packed) in packed(&text) {
            assert_eq!(unpack(&packed).expect(name), text, "{name}");
            let twice = [&packed[..], &packed[..]].concat();
            assert_eq!(unpack(&twice).expect(name).len(), 2 * text.len(), "{name}");
        }
        assert_eq!(unpack(&text).expect("not compressed"), text);
    }

    #[test]
    fn the_first_stream_can_be_had_alone() {
        let text = text();
        for (name, packed) in packed(&text) {
            let codec = Codec::of(&packed).expect("one of ours");
            for behind in [&b""[..], &packed] {
                let twice = [&packed, behind].concat();
                let (mut rest, mut bytes) = (&twice[..], Vec::new());
                Unpacked::first(&mut rest, codec)
                    .expect(name)
                    .read_to_end(&mut bytes)
                    .expect(name);
                assert_eq!((bytes.len(), rest), (text.len(), behind), "{name}");
            }
        }
    }

    #[test]
    fn every_cut_and_everything_behind_the_end_is_found() {
        for (name, packed) in packed(&text()) {
            for length in
                (6..packed.len()).filter(|at| at % 9973 == 0 || *at < 24 || packed.len() - at < 24)
            {
                assert!(
                    unpack(&packed[..length]).is_err(),
                    "{name} cut to {length} of {}",
                    packed.len()
                );
            }
            for tail in [&b"x"[..], b"garbage", &[0; 600], b"\0\0\0\0x"] {
                let zeros = tail.iter().all(|byte| *byte == 0);
                assert_eq!(
                    unpack(&[&packed[..], tail].concat()).is_ok(),
                    zeros && name != "zstd",
                    "{name} and {} bytes",
                    tail.len()
                );
            }
        }
    }
}
