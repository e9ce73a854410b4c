//! A list that comes in pieces, an item at a time.

use super::{Malformed, fields, take, varint};

/// What protobuf from an API server starts with.
const MAGIC: &[u8] = b"k8s\0";
/// The largest object that is taken in. The API server's own limit is near 3 MiB.
const MAX_ITEM: u64 = 16 << 20;

/// What stands before the items of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Where the next page begins; empty on the last.
    pub next: String,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Head, Malformed> {
        let mut head = Head::default();
        for field in fields(bytes) {
            if let (3, next) = field? {
                head.next = next.text()?;
            }
        }
        Ok(head)
    }
}

/// The items of a list in the order of the bytes that are pushed in. Never holds more than the
/// bytes of one item and what was pushed behind it.
#[derive(Debug, Default)]
pub struct Items {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    done: usize,
    /// Bytes of the list that are still to come; `None` while the envelope is not read.
    left: Option<u64>,
    head: Option<Head>,
}

impl Items {
    /// Takes in what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.done > 0 {
            self.buffer.drain(..self.done);
            self.done = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// What stood before the items; `None` as long as it has not come.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The next item's bytes, if it is all there.
    ///
    /// # Errors
    /// What came is no list, or an item is longer than any that an API server keeps.
    pub fn next_item(&mut self) -> Result<Option<&[u8]>, Malformed> {
        if self.left.is_none() && !self.open()? {
            return Ok(None);
        }
        loop {
            if self.left == Some(0) {
                self.done = self.buffer.len(); // What follows in the envelope says nothing.
                return Ok(None);
            }
            let before = &self.buffer[self.done..];
            let mut rest = before;
            let Some((number, length)) = start(&mut rest)? else {
                return Ok(None);
            };
            let head = (before.len() - rest.len()) as u64;
            if length > MAX_ITEM {
                return Err(Malformed);
            }
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            if rest.len() < length {
                return Ok(None);
            }
            let left = self.left.as_mut().ok_or(Malformed)?;
            *left = left.checked_sub(head + length as u64).ok_or(Malformed)?;
            let from = self.buffer.len() - rest.len();
            self.done = from + length;
            match number {
                1 => self.head = Some(Head::read(&self.buffer[from..self.done])?),
                2 => {
                    // A list whose metadata came after its items would be none that we know how to
                    // page.
                    self.head.as_ref().ok_or(Malformed)?;
                    return Ok(Some(&self.buffer[from..self.done]));
                }
                _ => {}
            }
        }
    }

    /// Whether the list ended where it said that it would. To be asked once all has come.
    pub fn whole(&self) -> bool {
        self.left == Some(0) && self.head.is_some()
    }

    /// The one object in an envelope, and not a list.
    pub(crate) fn single(bytes: &[u8]) -> Option<&[u8]> {
        let mut items = Items {
            buffer: bytes.to_vec(),
            ..Items::default()
        };
        let length =
            usize::try_from(items.open().ok().filter(|open| *open).and(items.left)?).ok()?;
        bytes.get(items.done..)?.get(..length)
    }

    /// Reads the envelope (`runtime.Unknown`) up to the list in it. `false` if more must come
    /// first.
    fn open(&mut self) -> Result<bool, Malformed> {
        let mut rest = self.buffer.as_slice();
        if rest.len() < MAGIC.len() {
            return if MAGIC.starts_with(rest) {
                Ok(false)
            } else {
                Err(Malformed)
            };
        }
        if take(&mut rest, MAGIC.len())? != MAGIC {
            return Err(Malformed);
        }
        loop {
            let Some((number, length)) = start(&mut rest)? else {
                return Ok(false);
            };
            if number == 2 {
                self.left = Some(length);
                self.done = self.buffer.len() - rest.len();
                return Ok(true);
            }
            let length = usize::try_from(length).map_err(|_| Malformed)?;
            if length > 4096 {
                return Err(Malformed);
            }
            if rest.len() < length {
                return Ok(false);
            }
            take(&mut rest, length)?;
        }
    }
}

/// The number and length of a field that holds bytes; the only sort that lists and envelopes have.
fn start(rest: &mut &[u8]) -> Result<Option<(u64, u64)>, Malformed> {
    let mut after = *rest;
    let Some(key) = varint(&mut after)? else {
        return Ok(None);
    };
    let Some(length) = varint(&mut after)? else {
        return Ok(None);
    };
    if key & 7 != 2 {
        return Err(Malformed);
    }
    *rest = after;
    Ok(Some((key >> 3, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that holds bytes.
    fn bytes(number: u8, contents: &[u8]) -> Vec<u8> {
        let length = contents.len();
        let mut field = vec![number << 3 | 2];
        if length < 128 {
            field.push(u8::try_from(length).expect("short"));
        } else {
            field.extend([
                u8::try_from(length % 128).expect("7 bits") | 0x80,
                u8::try_from(length / 128).expect("short"),
            ]);
        }
        field.extend(contents);
        field
    }

    fn list(items: &[&[u8]]) -> Vec<u8> {
        let mut list = bytes(1, &bytes(3, b"token"));
        for item in items {
            list.extend(bytes(2, item));
        }
        let mut whole = MAGIC.to_vec();
        whole.extend(bytes(1, b"type"));
        whole.extend(bytes(2, &list));
        whole.extend([0x1a, 0, 0x22, 0]);
        whole
    }

    /// What comes of a list in pieces of `size` bytes, and whether it was whole.
    fn read(bytes: &[u8], size: usize) -> Result<(Vec<Vec<u8>>, bool), Malformed> {
        let mut items = Items::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(size) {
            items.push(piece);
            while let Some(item) = items.next_item()? {
                found.push(item.to_vec());
            }
        }
        if items.whole() {
            assert_eq!(items.head().map(|head| head.next.as_str()), Some("token"));
        }
        Ok((found, items.whole()))
    }

    #[test]
    fn a_list_is_the_same_in_pieces_of_any_size() {
        let long = vec![7; 300];
        let whole = list(&[b"one", &long, b""]);
        for size in 1..=whole.len() {
            assert_eq!(
                read(&whole, size),
                Ok((vec![b"one".to_vec(), long.clone(), vec![]], true)),
                "{size}"
            );
        }
        assert_eq!(read(&list(&[]), 4), Ok((vec![], true)));
    }

    #[test]
    fn a_list_that_is_cut_anywhere_is_not_whole() {
        let whole = list(&[b"one", b"two"]);
        for cut in 0..whole.len() - 4 {
            let (_, complete) = read(&whole[..cut], 5).expect("so far it is a list");
            assert!(!complete, "{cut}");
        }
    }

    #[test]
    fn what_is_no_list_is_malformed() {
        assert_eq!(read(b"{\"kind\":\"PodList\"}", 5), Err(Malformed));
        let mut long = MAGIC.to_vec();
        long.extend([
            0x12, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x0a, 0, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f,
        ]);
        assert_eq!(
            read(&long, 100),
            Err(Malformed),
            "an item of 4 GB is not waited for"
        );
        let mut over = MAGIC.to_vec();
        over.extend([0x12, 4, 0x0a, 0, 0x12, 3, 1, 2, 3]);
        assert_eq!(
            read(&over, 100),
            Err(Malformed),
            "an item that is longer than its list"
        );
    }

    #[test]
    fn a_page_says_where_the_next_begins() {
        let mut page = Items::default();
        page.push(include_bytes!("fixtures/page.pb"));
        assert!(page.next_item().expect("a list").is_some());
        assert_eq!(page.next_item(), Ok(None));
        assert!(page.whole());
        assert!(page.head().is_some_and(|head| head.next.starts_with("eyJ")));
    }
}
