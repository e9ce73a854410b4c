//! What an API server writes as protobuf, field by field: lists, and the `Status` of a refusal.
//!
//! The API server writes protobuf several times as quickly as JSON, in a third of the bytes. Which
//! fields of an object are read is the business of who lists it.

mod list;
mod status;

pub use self::list::{Head, Items};
pub(crate) use self::status::{status, wait};

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
    /// The bytes of a text, a message or an entry.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn text(self) -> Result<String, Malformed> {
        std::str::from_utf8(self.bytes()?)
            .map(str::to_owned)
            .map_err(|_| Malformed)
    }

    /// A number of 64 bits.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn long(self) -> Result<i64, Malformed> {
        match self {
            Value::Number(number) => Ok(number.cast_signed()),
            _ => Err(Malformed),
        }
    }

    /// A number of 32 bits.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn int(self) -> Result<i32, Malformed> {
        // A negative number of 32 bits is written with 64.
        i32::try_from(self.long()?).map_err(|_| Malformed)
    }

    /// A truth value.
    ///
    /// # Errors
    /// The field holds something else.
    pub fn truth(self) -> Result<bool, Malformed> {
        self.long().map(|number| number != 0)
    }
}

/// The fields of a message in order, each with its number; ends after what is malformed.
pub fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
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

    /// The fields with their numbers; -7 for what is none.
    fn numbers(bytes: &[u8]) -> Result<Vec<(u64, i64)>, Malformed> {
        let number = |(number, value): (u64, Value<'_>)| (number, value.long().unwrap_or(-7));
        fields(bytes).map(|field| field.map(number)).collect()
    }

    #[test]
    fn fields_of_every_width_are_stepped_over() {
        let bytes = [
            0x08, 0x96, 0x01, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a, 2, b'h', b'i', 0x25, 1, 2, 3, 4,
            0x28, 1,
        ];
        assert_eq!(
            numbers(&bytes),
            Ok(vec![(1, 150), (2, -7), (3, -7), (4, -7), (5, 1)])
        );
    }

    #[test]
    fn negative_numbers_have_ten_bytes() {
        let bytes = [
            0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
        ];
        assert_eq!(numbers(&bytes), Ok(vec![(1, -1)]));
    }

    #[test]
    fn every_cut_inside_a_field_and_nonsense_is_malformed() {
        let whole = [0x08, 0x96, 0x01, 0x1a, 2, b'h', b'i'];
        for cut in [1, 2, 4, 5, 6] {
            assert_eq!(numbers(&whole[..cut]), Err(Malformed), "{cut}");
        }
        assert_eq!(numbers(&[0x0b]), Err(Malformed));
        assert_eq!(numbers(&[0xff; 11]), Err(Malformed));
        assert_eq!(
            numbers(&[
                0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1
            ]),
            Err(Malformed)
        );
    }
}
