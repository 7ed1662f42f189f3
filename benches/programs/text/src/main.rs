//! Generated log lines -> what patterns find in them, as JSON, read again and counted.
//!
//! The argument is how many lines there are. Each run does and prints the same.

use regex::{Captures, Regex};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

const LINES_DEFAULT: usize = 30_000;

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "HEAD"];
const WORDS: [&str; 8] = ["index", "user", "order", "static", "image", "search", "api", "grün"];

/// The same numbers in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn log(lines: usize) -> String {
    let mut numbers = Numbers(42);
    let mut log = String::new();
    for line in 0..lines {
        let address = [0; 4].map(|_| numbers.below(256).to_string()).join(".");
        let method = METHODS[numbers.below(METHODS.len())];
        let path: Vec<_> =
            (0..1 + numbers.below(4)).map(|_| WORDS[numbers.below(WORDS.len())]).collect();
        let (status, bytes) =
            (200 + 100 * numbers.below(4) + numbers.below(5), numbers.below(1 << 20));
        // Writing to a string cannot fail.
        let _ = writeln!(
            log,
            "{address} - - [{:02}/Nov/2026:{:02}:{:02}:{:02}] \"{method} /{}?id={line}&q=%{:02X}{}\" {status} {bytes} \"agent/{}.{} (x; y)\"",
            1 + line % 30,
            line % 24,
            line % 60,
            numbers.below(60),
            path.join("/"),
            numbers.below(256),
            WORDS[numbers.below(WORDS.len())],
            numbers.below(20),
            numbers.below(10),
        );
    }
    log
}

fn records(log: &str) -> Vec<Value> {
    let line = Regex::new(
        r#"(?m)^(?P<address>\d+(?:\.\d+){3}) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<path>[^?"]+)(?:\?(?P<query>[^"]*))?" (?P<status>\d{3}) (?P<bytes>\d+) "(?P<agent>[^"]*)"$"#,
    )
    .expect("the pattern is well-formed");
    let pair = Regex::new(r"([^&=]+)=([^&]*)").expect("the pattern is well-formed");
    let record = |found: Captures<'_>| {
        let text = |name: &str| found.name(name).map_or("", |text| text.as_str());
        let query = pair.captures_iter(text("query"));
        let query: Map<String, Value> =
            query.map(|pair| (pair[1].to_owned(), json!(pair[2]))).collect();
        json!({
            "address": text("address").split('.').map(|part| part.parse::<u8>().unwrap_or(0)).collect::<Vec<_>>(),
            "time": text("time"),
            "method": text("method"),
            "path": text("path").split('/').skip(1).collect::<Vec<_>>(),
            "query": query,
            "status": text("status").parse::<u16>().unwrap_or(0),
            "kib": text("bytes").parse::<f64>().unwrap_or(0.0) / 1024.0,
            "agent": text("agent"),
        })
    };
    line.captures_iter(log).map(record).collect()
}

/// What the records say, by the first word of the path.
fn totals(records: &[Value]) -> BTreeMap<&str, (usize, f64, u64)> {
    let mut totals = BTreeMap::new();
    for record in records {
        let first = record["path"][0].as_str().unwrap_or("");
        let (count, kib, failed) = totals.entry(first).or_insert((0, 0.0, 0));
        *count += 1;
        *kib += record["kib"].as_f64().unwrap_or(0.0);
        *failed += u64::from(record["status"].as_u64() >= Some(400));
    }
    totals
}

fn main() {
    let lines =
        std::env::args().nth(1).and_then(|lines| lines.parse().ok()).unwrap_or(LINES_DEFAULT);
    let log = log(lines);
    let records = records(&log);
    let text = serde_json::to_string_pretty(&records).expect("every value has a JSON form");
    let again: Vec<Value> = serde_json::from_str(&text).expect("it was just written");
    assert_eq!(records, again, "JSON changes the records");
    println!("{} bytes of log, {} records, {} bytes of JSON", log.len(), again.len(), text.len());
    for (word, (count, kib, failed)) in totals(&again) {
        println!("{word}: {count}, {kib:.3} KiB, {failed} failed");
    }

    let words =
        Regex::new(r"(?i)\b(?:user|order|gr\p{L}n)\w*").expect("the pattern is well-formed");
    let mut counts = HashMap::new();
    for word in words.find_iter(&log) {
        *counts.entry(word.as_str().to_lowercase()).or_insert(0) += 1;
    }
    let mut counts: Vec<(String, u32)> = counts.into_iter().collect();
    counts.sort();
    println!("{counts:?}");
    let escape = Regex::new(r"%([0-9A-F])([0-9A-F])").expect("the pattern is well-formed");
    let plain = escape.replace_all(&log, "<$2$1>");
    let digest = plain.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    println!("{} bytes, {digest:016x}", plain.len());
}
