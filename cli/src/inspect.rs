//! `stencil inspect`: a key or an artifact -> what is in it, for a person.

use crate::args::InspectArgs;
use crate::cache::Cache;
use crate::config::Config;
use crate::count::count;
use crate::exit::{self, Exit, Failure};
use object::{Object as _, ObjectSection as _};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use stencil::compiled::{RelocationTarget, Unwind};
use stencil::{CacheKey, CacheStore as _, CompiledStencil, EntryError, Lookup, entry};
use wasm_compiler::Settings;

pub fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    let key = args.subject.to_str().and_then(|text| text.parse::<CacheKey>().ok());
    let text = match key {
        Some(key) => cached(args, &key)?,
        None => artifact(&args.subject)?,
    };
    exit::print(&text)?;
    Ok(Exit::Success)
}

fn row(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name:<18}{value}");
}

fn cached(args: &InspectArgs, key: &CacheKey) -> Result<String, Failure> {
    let config = Config::load()?;
    let disk = Cache::require(&config.cache(&args.cache)?)?;
    let dir = disk.dir().display();
    let bytes = match disk.lookup(std::slice::from_ref(key)).pop() {
        Some(Lookup::Hit(bytes, _)) => bytes,
        Some(Lookup::Miss(reason)) => {
            for problem in disk.problems() {
                exit::say("warning", &problem);
            }
            let why = format!("the cache in {dir} has no entry {key} ({reason})");
            return Err(Failure::input(format!("{why}; give another --cache-dir, or compile")));
        }
        None => return Err(Failure::input(format!("the cache in {dir} has no entry {key}"))),
    };
    let sound = entry::open(key, &bytes).and_then(|stencil| {
        let malformed = EntryError::Malformed { key: *key };
        stencil.tables_are_sound().then_some(stencil).ok_or(malformed)
    });
    let stencil = sound.map_err(|error| {
        Failure::input(format!("the cache in {dir} holds a damaged entry: {error}"))
    })?;
    let mut text = String::new();
    row(&mut text, "key", key);
    row(&mut text, "entry", format_args!("{} bytes", count(bytes.len() as u64)));
    describe(&mut text, &stencil);
    Ok(text)
}

/// What finalizing fills in.
fn layout(stencil: &CompiledStencil<'_>) -> String {
    if stencil.is_marker() {
        return "in the key: the code is in other entries, one for each layout".to_owned();
    }
    let (numbers, fields) = (stencil.number_count().into(), stencil.field_count().into());
    format!("{} numbers, in {} fields of the code", count(numbers), count(fields))
}

fn describe(text: &mut String, stencil: &CompiledStencil<'_>) {
    let code =
        format!("{} bytes, aligned to {}", count(stencil.code().len() as u64), stencil.alignment());
    row(text, "code", code);
    row(text, "callees", count(stencil.callee_count().into()));
    row(text, "layout", layout(stencil));
    row(text, "source locations", count(stencil.source_count().into()));
    row(text, "source map", format_args!("{} ranges", count(stencil.mapped_count().into())));
    row(text, "traps", count(stencil.trap_count().into()));
    row(text, "call sites", count(stencil.call_sites().count() as u64));
    row(text, "stack maps", count(stencil.stack_maps().count() as u64));
    row(text, "needs a GC heap", if stencil.needs_gc_heap() { "yes" } else { "no" });
    row(
        text,
        "unwind",
        match stencil.unwind() {
            Unwind::None => "none".to_owned(),
            Unwind::SystemV(bytes) => format!("System V, {} bytes", bytes.len()),
            Unwind::Cranelift(bytes) => format!("Cranelift's own, {} bytes", bytes.len()),
            _ => "other".to_owned(),
        },
    );
    for relocation in stencil.relocations() {
        let target = match relocation.target {
            RelocationTarget::Callee(callee) => format!("callee {}", callee.0),
            RelocationTarget::Fixed(name) => {
                format!("function {}:{}", name.namespace, name.index)
            }
            RelocationTarget::LibCall(number) => format!("library call {number}"),
            RelocationTarget::KnownSymbol(number) => format!("known symbol {number}"),
            RelocationTarget::FunctionOffset(offset) => format!("itself + {offset:#x}"),
            _ => "other".to_owned(),
        };
        let at = format!("{:#x}, {target} {:+}", relocation.offset, relocation.addend);
        row(text, "relocation", at);
    }
    let _ = writeln!(text, "code bytes");
    for (line, bytes) in stencil.code().chunks(16).enumerate() {
        let _ = write!(text, "  {:6x} ", line * 16);
        for byte in bytes {
            let _ = write!(text, " {byte:02x}");
        }
        let _ = writeln!(text);
    }
}

fn artifact(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|error| {
        let is_name = path.components().count() == 1 && !path.exists();
        match is_name {
            true => Failure::usage(format!(
                "{} is neither a file nor a cache key of 64 hexadecimal digits",
                path.display()
            )),
            false => Failure::unreadable(path, &error),
        }
    })?;
    let name = path.display();
    let settings = Settings::from_artifact(&bytes)
        .map_err(|error| Failure::input(format!("cannot inspect {name}: {error}")))?;
    let file = object::File::parse(&*bytes)
        .map_err(|error| Failure::input(format!("cannot inspect {name}: {error}")))?;
    let mut text = String::new();
    row(&mut text, "artifact", format_args!("{name}, {} bytes", count(bytes.len() as u64)));
    row(&mut text, "Wasmtime", settings.version());
    row(&mut text, "target", settings.target());
    row(&mut text, "fingerprint", wasm_compiler::fingerprint::fingerprint(&settings));
    let flags: Vec<String> = settings
        .flags()
        .filter(|(_, value)| *value != "false")
        .map(|(name, value)| match &*value {
            "true" => name.to_owned(),
            value => format!("{name}={value}"),
        })
        .collect();
    row(&mut text, "flags", flags.join(" "));
    let cached = match settings.uncovered() {
        None => "yes".to_owned(),
        Some(reason) => format!("no: {reason}"),
    };
    row(&mut text, "cacheable", cached);
    for section in file.sections() {
        if let Ok(name) = section.name()
            && !name.is_empty()
        {
            let size = count(section.size());
            row(&mut text, "section", format_args!("{name}, {size} bytes"));
        }
    }
    Ok(text)
}
