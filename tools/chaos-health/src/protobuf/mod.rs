//! Which fields of the objects that there can be very many of are read from protobuf.
//!
//! Most of an object (managed fields, probes, environment) says nothing of its health. What is not
//! named in [`objects`] is stepped over without being looked at. Numbers of fields are those of
//! `generated.proto` in `k8s.io/api`, where they never change.

mod objects;

use chaos_common::cluster::protobuf::{Malformed, Value, fields};

/// Something that is read field by field.
pub trait Message: Default {
    /// Takes in one field; those that it does not need it ignores.
    ///
    /// # Errors
    /// The value is not of the kind that the field has.
    fn field(&mut self, number: u64, value: Value<'_>) -> Result<(), Malformed>;
}

/// An object from its bytes, as [`ListRequest::protobuf`] wants it; only the fields that decide are
/// filled.
///
/// # Errors
/// The bytes are not this message.
///
/// [`ListRequest::protobuf`]: chaos_common::cluster::ListRequest::protobuf
pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, Malformed> {
    let mut message = M::default();
    for field in fields(bytes) {
        let (number, value) = field?;
        message.field(number, value)?;
    }
    Ok(message)
}

/// A field that is a message itself.
fn message<M: Message>(value: Value<'_>) -> Result<M, Malformed> {
    decode(value.bytes()?)
}
