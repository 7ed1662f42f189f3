//! A value of Wasmtime's own incremental cache -> the size of the machine code
//! in it.
//!
//! The value is postcard of Cranelift's `CachedFunc`: its version as a string,
//! then the compiled code, which starts with the code's bytes. Strings and bytes
//! have their length in front, as a varint.

/// The size of the machine code in bytes; `None` if the value is not what
/// Cranelift 0.135 writes.
pub fn code_bytes(value: &[u8]) -> Option<u64> {
    let (version_len, rest) = varint(value)?;
    let rest = rest.get(usize::try_from(version_len).ok()?..)?;
    let (code_len, rest) = varint(rest)?;
    (code_len <= rest.len() as u64).then_some(code_len)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_length_stands_behind_the_version() {
        let mut value = b"\x070.135.8\xac\x02".to_vec();
        value.resize(value.len() + 300, 0);
        assert_eq!(code_bytes(&value), Some(300));
        value.pop();
        assert_eq!(code_bytes(&value), None);
        assert_eq!(code_bytes(b"\xff"), None);
    }
}
