//! A `[[token]]` table of the configuration file -> a token's record.
//!
//! Invariant: of a token, only its SHA-256 is kept and shown.

use crate::auth::Role;
use serde::Deserialize;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// Who may do what with one token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TokenTable {
    /// Whose it is; shown in logs.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// SHA-256 of the token's text.
    pub sha256: Digest,
    /// The projects it is good for; left out, all.
    pub projects: Option<Vec<String>>,
    /// When it ends; left out, never.
    pub expires: Option<Expiry>,
}

/// A SHA-256, 64 hexadecimal digits in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(pub [u8; 32]);

impl TryFrom<String> for Digest {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // A cache key has the same shape.
        let digest = stencil::CacheKey::from_str(&text);
        let digest = digest.map_err(|_| "sha256 has 64 hexadecimal digits")?;
        Ok(Self(*digest.as_bytes()))
    }
}

/// A date, which ends with its first second, or a time; without an offset, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::value::Datetime")]
pub struct Expiry(pub SystemTime);

impl TryFrom<toml::value::Datetime> for Expiry {
    type Error = &'static str;

    fn try_from(datetime: toml::value::Datetime) -> Result<Self, Self::Error> {
        const WRONG: &str = "expires is a date, such as 2030-12-31, or a date and time";
        let date = datetime.date.ok_or(WRONG)?;
        let days = days_since_1970(i64::from(date.year), date.month, date.day);
        let (hour, minute, second) = match datetime.time {
            Some(time) => (time.hour, time.minute, time.second),
            None => (0, 0, 0),
        };
        let offset_minutes = match datetime.offset {
            Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
            _ => 0,
        };
        let minutes = (days * 24 + i64::from(hour)) * 60 + i64::from(minute) - offset_minutes;
        let seconds = u64::try_from(minutes * 60 + i64::from(second)).map_err(|_| WRONG)?;
        Ok(Self(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
    }
}

/// Days from 1970-01-01, after Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: u8, day: u8) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expiry(text: &str) -> u64 {
        #[derive(Deserialize)]
        struct Line {
            expires: Expiry,
        }
        let line: Line = toml::from_str(&format!("expires = {text}")).unwrap();
        line.expires.0.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn dates_and_times_are_seconds_since_1970() {
        assert_eq!(expiry("1970-01-01"), 0);
        assert_eq!(expiry("2000-02-29"), 951_782_400);
        assert_eq!(expiry("2026-11-21T12:30:05Z"), 1_795_264_205);
        assert_eq!(expiry("2026-11-21T12:30:05+02:00"), 1_795_264_205 - 7200);
    }

    #[test]
    fn a_digest_has_64_digits() {
        assert!(Digest::try_from("ab".repeat(32)).is_ok());
        for wrong in ["", "ab", &"ab".repeat(33), &"zz".repeat(32)] {
            assert!(Digest::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}
