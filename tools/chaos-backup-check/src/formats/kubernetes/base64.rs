//! base64, decoded strictly.

/// Decodes base64 as the API server takes it (`encoding/base64`, `StdEncoding`): whole groups of
/// four, padded, line ends between them. `None` if it is something else.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut digits, mut padding) =
        (Vec::with_capacity(text.len() / 4 * 3), 0_usize, 0_usize);
    let mut bits = 0_u32;
    for byte in text.bytes() {
        let digit = match byte {
            b'\r' | b'\n' => continue,
            b'=' => {
                padding += 1;
                continue;
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        digits += 1;
        bits = bits << 6 | u32::from(digit);
        if digits % 4 == 0 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    match (digits % 4, padding) {
        (0, 0) => {}
        (2, 2) => bytes.push(bits.to_be_bytes()[2] << 4 | bits.to_be_bytes()[3] >> 4),
        (3, 1) => bytes.extend_from_slice(&(bits << 6).to_be_bytes()[1..3]),
        _ => return None,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_is_told_from_other_text() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("aHVudGVyMg==", b"hunter2"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("YWJj\nYWJj\n", b"abcabc"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("AAECAw==", b"\0\x01\x02\x03"),
            ("//79", b"\xff\xfe\xfd"),
            ("//78+w==", b"\xff\xfe\xfc\xfb"),
            ("//78+/o=", b"\xff\xfe\xfc\xfb\xfa"),
        ] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text:?}");
        }
        for bad in [
            "hunter2",
            "aHVudGVyMg",
            "a===",
            "YW=j",
            "YWJj YWJj",
            "YWJ-",
            "====",
            "YWJjYQ=",
            "YWI==",
        ] {
            assert_eq!(from_base64(bad), None, "{bad:?}");
        }
    }
}
