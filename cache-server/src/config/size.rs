//! Text -> a size in bytes, as the `stencil` command reads it.

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// A size in bytes, written as a whole number with an optional unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct ByteSize(pub u64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a size is a whole number of bytes, or a text such as '10GiB'")]
enum Written {
    Number(u64),
    Text(String),
}

/// Units in the order in which a suffix is looked for.
const UNITS: [(&str, u64); 9] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
];

/// A text that is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotASize;

impl fmt::Display for NotASize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size is a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")
    }
}

impl std::error::Error for NotASize {}

impl TryFrom<Written> for ByteSize {
    type Error = NotASize;

    fn try_from(written: Written) -> Result<Self, NotASize> {
        match written {
            Written::Number(bytes) => Ok(Self(bytes)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl FromStr for ByteSize {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let text = text.trim().to_ascii_lowercase();
        let unit = UNITS.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes)));
        let (number, unit) = unit.unwrap_or((&text, 1));
        let number = number.trim_end();
        if !number.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(NotASize);
        }
        let number: u64 = number.parse().map_err(|_| NotASize)?;
        number.checked_mul(unit).map(Self).ok_or(NotASize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_every_unit() {
        let read = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(read("10GiB"), Ok(10 << 30));
        assert_eq!(read("500MB"), Ok(500_000_000));
        assert_eq!(read("3 kb"), Ok(3_000));
        assert_eq!(read("7"), Ok(7));
        for wrong in ["", "GiB", "-1", "+1", "1.5GiB", "10G", "99999999TiB", "1e9"] {
            assert_eq!(read(wrong), Err(NotASize), "{wrong:?}");
        }
    }
}
