//! A cache directory damaged in 500 ways: each compile, in a process of its own,
//! succeeds with the right bytes, and says what it found wrong.

use crate::sandbox::{Sandbox, testdata};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::fs;
use std::path::Path;
use wat::parse_file;

const DAMAGES: u64 = 500;

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A number from 0 to before `end`; 0 if there is none.
fn below(numbers: &mut SmallRng, end: usize) -> usize {
    numbers.random_range(0..end.max(1))
}

/// Does something to the files, and tells what.
fn damage(cache: &Path, numbers: &mut SmallRng) -> String {
    let mut files: Vec<_> = fs::read_dir(cache).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    // Mostly the database itself.
    let database = files.iter().position(|file| file.extension().is_some_and(|e| e == "sqlite"));
    let nth = if below(numbers, 8) == 0 { below(numbers, files.len()) } else { database.unwrap() };
    let path = &files[nth];
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bytes = fs::read(path).unwrap();
    let at = below(numbers, bytes.len());
    let end = at + below(numbers, bytes.len() - at);
    let what = match below(numbers, 7) {
        0 => {
            bytes.truncate(at);
            format!("{name} truncated to {at}")
        }
        1 => {
            bytes[at..end].fill(0);
            format!("{name} zeroed from {at} to {end}")
        }
        2 => {
            let count = 1 + below(numbers, 64);
            for _ in 0..count {
                let at = below(numbers, bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = numbers.random();
                }
            }
            format!("{name} overwritten at {count} places")
        }
        3 => {
            bytes[at..end].iter_mut().for_each(|byte| *byte = numbers.random());
            format!("{name} overwritten from {at} to {end}")
        }
        4 => {
            bytes = (0..below(numbers, 100_000)).map(|_| numbers.random()).collect();
            format!("{name} replaced by noise")
        }
        5 => {
            bytes.extend((0..below(numbers, 10_000)).map(|_| numbers.random::<u8>()));
            format!("{name} made longer")
        }
        _ => {
            let journal = format!("{}-journal", files[database.unwrap()].display());
            let noise: Vec<u8> = (0..below(numbers, 5_000)).map(|_| numbers.random()).collect();
            fs::write(journal, noise).unwrap();
            format!("a journal of noise, and {name} as it was")
        }
    };
    fs::write(path, bytes).unwrap();
    what
}

#[test]
fn five_hundred_damages_change_no_byte() {
    let sandbox = Sandbox::new();
    let wat = testdata("wat/gc-structs.wat");
    let expected = wasmtime::Engine::default().precompile_module(&parse_file(&wat).unwrap());
    let expected = expected.unwrap();
    let (sound, cache) = (sandbox.path("sound"), sandbox.path("damaged"));
    let compile = |cache: &Path| {
        let (wat, cache) = (wat.to_str().unwrap(), cache.to_str().unwrap());
        sandbox.run(&["compile", wat, "-o", "o.cwasm", "--cache-dir", cache, "--json", "-j", "1"])
    };
    compile(&sound).done();
    let mut numbers = SmallRng::seed_from_u64(7);
    let (mut told, mut hits, mut misses) = (0, 0, 0);
    for nth in 0..DAMAGES {
        copy(&sound, &cache);
        let what = damage(&cache, &mut numbers);
        let ran = compile(&cache);
        assert_eq!(ran.code, Some(0), "damage {nth}, {what}: {}", ran.stderr);
        let found = fs::read(sandbox.path("o.cwasm")).unwrap();
        assert!(found == expected, "damage {nth}, {what}: other bytes");
        let missed = ran.number("misses");
        let warned = ran.stderr.contains("warning: ");
        // A sound lookup can only miss for want of an entry.
        assert!(missed == 0 || warned, "damage {nth}, {what}: {missed} silent misses");
        told += u64::from(warned);
        hits += u64::from(missed == 0);
        misses += u64::from(missed > 0);
        // Hits of a file that then turned out to be damaged, and was replaced, are
        // not in the new one; the next compile puts them there.
        compile(&cache).done();
        let third = compile(&cache).done();
        assert_eq!(third.number("misses"), 0, "damage {nth}, {what}: lasting damage");
    }
    println!("{DAMAGES} damages: {told} told of, {hits} harmless, {misses} with misses");
    assert!(told >= DAMAGES / 4 && misses >= DAMAGES / 4, "the damages are too harmless");
}
