//! Text <-> sizes in bytes.

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
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
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
        let unit = UNITS.iter().find_map(|(name, bytes)| {
            Some((text.strip_suffix(&name.to_ascii_lowercase())?, *bytes))
        });
        let (number, unit) = unit.unwrap_or((&text, 1));
        let number = number.trim_end();
        if !number.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(NotASize);
        }
        let number: u64 = number.parse().map_err(|_| NotASize)?;
        number.checked_mul(unit).map(Self).ok_or(NotASize)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = UNITS[..4].iter().rev().find(|(_, bytes)| self.0 >= *bytes);
        match binary {
            Some((name, bytes)) => write!(f, "{:.1} {name}", self.0 as f64 / *bytes as f64),
            None => write!(f, "{} B", self.0),
        }
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
        assert_eq!(read("7B"), Ok(7));
        for wrong in ["", "GiB", "-1", "+1", "1.5GiB", "10G", "99999999TiB", "1e9"] {
            assert_eq!(read(wrong), Err(NotASize), "{wrong:?}");
        }
    }
}
