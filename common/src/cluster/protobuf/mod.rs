//! Kubernetes objects as protobuf, of which only the fields that decide are read.
//!
//! The API server writes protobuf several times as quickly as JSON, in a third of the bytes, and
//! most of an object (managed fields, probes, environment) says nothing of its health. What is not
//! named in [`objects`] is stepped over without being looked at. The format is that of
//! `generated.proto` in `k8s.io/api`; fields' numbers never change there.

mod list;
mod objects;

pub use self::list::Items;
pub(crate) use self::objects::{status, wait};

/// The content type that asks for it. The second is for what can only be had as JSON.
pub(crate) const ACCEPT: &str = "application/vnd.kubernetes.protobuf, application/json;q=0.5";

/// What is not protobuf, or not what the field should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not the protobuf that Kubernetes defines")]
pub struct Malformed;

/// One field's value, still encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number or a truth value.
    Number(u64),
    /// A text, a message, a map's entry.
    Bytes(&'a [u8]),
    /// Of a fixed width: nothing that we read.
    Fixed,
}

impl<'a> Value<'a> {
    fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    fn text(self) -> Result<String, Malformed> {
        std::str::from_utf8(self.bytes()?)
            .map(str::to_owned)
            .map_err(|_| Malformed)
    }

    fn message<M: Message>(self) -> Result<M, Malformed> {
        M::read(self.bytes()?)
    }

    fn long(self) -> Result<i64, Malformed> {
        match self {
            Value::Number(number) => Ok(number.cast_signed()),
            _ => Err(Malformed),
        }
    }

    fn int(self) -> Result<i32, Malformed> {
        // A negative number of 32 bits is written with 64.
        i32::try_from(self.long()?).map_err(|_| Malformed)
    }

    fn truth(self) -> Result<bool, Malformed> {
        self.long().map(|number| number != 0)
    }
}

/// Something that is read field by field.
pub trait Message: Default {
    /// Takes in one field; those that it does not need it ignores.
    ///
    /// # Errors
    /// The value is not of the kind that the field has.
    fn field(&mut self, number: u64, value: Value<'_>) -> Result<(), Malformed>;

    /// The whole of it.
    ///
    /// # Errors
    /// The bytes are not this message.
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, value) = field(&mut rest)?;
            message.field(number, value)?;
        }
        Ok(message)
    }
}

/// Takes a field from the front.
fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Value<'a>), Malformed> {
    let key = varint(rest).flatten_missing()?;
    let value = match key & 7 {
        0 => Value::Number(varint(rest).flatten_missing()?),
        1 => take(rest, 8).map(|_| Value::Fixed)?,
        2 => {
            let length = varint(rest).flatten_missing()?;
            Value::Bytes(take(rest, usize::try_from(length).map_err(|_| Malformed)?)?)
        }
        5 => take(rest, 4).map(|_| Value::Fixed)?,
        _ => return Err(Malformed),
    };
    Ok((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, left) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = left;
    Ok(taken)
}

/// Takes a number of 7 bits a byte from the front; `None` if it is not all there yet.
fn varint(rest: &mut &[u8]) -> Result<Option<u64>, Malformed> {
    let mut number = 0;
    for (at, byte) in rest.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            *rest = &rest[at + 1..];
            return Ok(Some(number));
        }
    }
    if rest.len() < 10 {
        Ok(None)
    } else {
        Err(Malformed)
    }
}

/// For a number that must be there.
trait Whole {
    fn flatten_missing(self) -> Result<u64, Malformed>;
}

impl Whole for Result<Option<u64>, Malformed> {
    fn flatten_missing(self) -> Result<u64, Malformed> {
        self?.ok_or(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, PartialEq)]
    struct Seen(Vec<(u64, i64)>);

    impl Message for Seen {
        fn field(&mut self, number: u64, value: Value<'_>) -> Result<(), Malformed> {
            self.0.push((number, value.long().unwrap_or(-7)));
            Ok(())
        }
    }

    #[test]
    fn fields_of_every_width_are_stepped_over() {
        let bytes = [
            0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, b'h', b'i', 0x25, 1, 2, 3, 4,
            0x28, 1,
        ];
        assert_eq!(
            Seen::read(&bytes),
            Ok(Seen(vec![(1, 150), (2, -7), (3, -7), (4, -7), (5, 1)]))
        );
    }

    #[test]
    fn negative_numbers_have_ten_bytes() {
        let bytes = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        assert_eq!(Seen::read(&bytes), Ok(Seen(vec![(1, -1)])));
    }

    #[test]
    fn every_cut_inside_a_field_and_nonsense_is_malformed() {
        let whole = [0x08, 0x96, 0x01, 0x1a, 2, b'h', b'i'];
        for cut in [1, 2, 4, 5, 6] {
            assert_eq!(Seen::read(&whole[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(Seen::read(&[0x0b]), Err(Malformed));
        assert_eq!(Seen::read(&[0xff; 11]), Err(Malformed));
        assert_eq!(
            Seen::read(&[
                0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1
            ]),
            Err(Malformed)
        );
    }
}
