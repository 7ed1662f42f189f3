//! The oracle, and the comparison with it.

use object::{Object as _, ObjectSection as _};

/// What Wasmtime itself makes of a module or component.
pub fn stock(engine: &wasmtime::Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    if wasmparser::Parser::is_component(wasm) {
        engine.precompile_component(wasm)
    } else {
        engine.precompile_module(wasm)
    }
}

/// Fails at the first byte in which two artifacts differ, and leaves the input
/// and both artifacts in files.
pub fn assert_same(what: &str, wasm: &[u8], expected: &[u8], found: &[u8]) {
    if expected == found {
        return;
    }
    let equal = expected.iter().zip(found).take_while(|(one, other)| one == other).count();
    let directory = std::env::temp_dir().join("stencil-differences");
    std::fs::create_dir_all(&directory).expect("the system's directory for such files is there");
    let file_name = what.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    for (extension, bytes) in [("wasm", wasm), ("expected", expected), ("found", found)] {
        let path = directory.join(format!("{file_name}.{extension}"));
        std::fs::write(path, bytes).expect("the directory was made");
    }
    panic!(
        "{what}: artifacts differ from offset {equal:#x} on (expected in {}, found in {}), \
         expected {} bytes, found {}; see {}/{file_name}.*",
        section_at(expected, equal),
        section_at(found, equal),
        expected.len(),
        found.len(),
        directory.display(),
    );
}

/// The section that has a byte of the file, and where in the section it is.
fn section_at(artifact: &[u8], offset: usize) -> String {
    let Ok(file) = object::File::parse(artifact) else {
        return "no ELF file".to_owned();
    };
    for section in file.sections() {
        if let Some((start, len)) = section.file_range()
            && (start..start + len).contains(&(offset as u64))
        {
            return format!("{}+{:#x}", section.name().unwrap_or("?"), offset as u64 - start);
        }
    }
    "no section".to_owned()
}
