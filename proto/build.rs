//! `cache.proto` -> Rust, and a descriptor set for server reflection. The
//! compiler is protox, so no protoc has to be installed.

use std::path::PathBuf;
use std::{env, error::Error, fs};

const FILE: &str = "stencil/cache/v1/cache.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_file(FILE)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    // Entries are slices of the message that brought them; how to connect is the
    // client's business.
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .codec_path("crate::codec::MessageCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
