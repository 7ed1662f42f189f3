//! A. The fingerprint: each setting that there is, one at a time. What there is
//! comes from Wasmtime and Cranelift themselves, so that a new setting is covered,
//! or makes a test fail that says that it does not know how to change it.

use cranelift_codegen::{isa, settings};
use object::write::Object;
use object::{
    Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _, SectionKind,
};
use oracle::packages::package;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use stencil::Fingerprint;
use wasm_compiler::fingerprint::fingerprint;
use wasm_compiler::{Compiler, OptLevel, Options, Settings};
use wasmparser::WasmFeatures;
use wasmtime::{Config, Engine};
use wasmtime_environ::{OperatorCost, Tunables, obj};

/// Wasmtime's `Metadata`, in the encoding of artifacts.
#[derive(Clone, Serialize, Deserialize)]
struct Metadata {
    target: String,
    shared_flags: Vec<(String, Flag)>,
    isa_flags: Vec<(String, Flag)>,
    tunables: Tunables,
    features: u64,
}

/// Wasmtime's `FlagValue`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Flag {
    Enum(String),
    Num(u8),
    Bool(bool),
}

/// The two sections of an artifact that settings are read from.
struct Artifact {
    /// The version, in front of the metadata.
    version: Vec<u8>,
    metadata: Metadata,
    bti: Vec<u8>,
}

impl Artifact {
    fn of(target: &str) -> Self {
        let mut config = Config::new();
        config.target(target).expect("it is in this build");
        let engine = Engine::new(&config).expect("the configuration is sound");
        let artifact = engine.precompile_module(b"\0asm\x01\0\0\0").expect("it is a module");
        let file = object::File::parse(&*artifact).expect("it is an ELF file");
        let section = |name: &str| {
            let section = file.section_by_name(name).expect("every artifact has it");
            section.data().expect("it lies in the file").to_vec()
        };
        let engine_section = section(obj::ELF_WASM_ENGINE);
        let (version, metadata) = engine_section.split_at(2 + usize::from(engine_section[1]));
        let artifact = Self {
            version: version.to_vec(),
            metadata: postcard::from_bytes(metadata).expect("the layout is known"),
            bti: section(obj::ELF_WASM_BTI),
        };
        assert_eq!(artifact.section(&artifact.metadata), engine_section, "another layout");
        artifact
    }

    fn section(&self, metadata: &Metadata) -> Vec<u8> {
        let metadata = postcard::to_stdvec(metadata).expect("plain data can be serialised");
        [&*self.version, &metadata].concat()
    }

    /// The fingerprint of a host that has these settings.
    fn fingerprint(&self, metadata: &Metadata) -> Fingerprint {
        fingerprint(&self.settings(metadata))
    }

    /// What is read from an artifact of a host that has these settings.
    fn settings(&self, metadata: &Metadata) -> Settings {
        let mut file = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
        let sections =
            [(obj::ELF_WASM_ENGINE, self.section(metadata)), (obj::ELF_WASM_BTI, self.bti.clone())];
        for (name, data) in sections {
            let id = file.add_section(vec![], name.as_bytes().to_vec(), SectionKind::ReadOnlyData);
            file.set_section_data(id, data, 1);
        }
        let file = file.write().expect("it is a small file");
        Settings::from_artifact(&file).expect("it looks like an artifact")
    }

    /// Fails if one of the changes, or two of them, have the same fingerprint.
    fn assert_changes(&self, changes: &[(String, Metadata)]) {
        let of = |(what, metadata): &(String, Metadata)| (what.clone(), self.fingerprint(metadata));
        let unchanged = ("nothing".to_owned(), self.metadata.clone());
        assert_eq!(of(&unchanged), of(&unchanged));
        let mut seen = vec![of(&unchanged)];
        seen.append(&mut changes.par_iter().map(of).collect());
        let mut distinct = BTreeSet::new();
        for (what, fingerprint) in seen {
            assert!(distinct.insert(fingerprint), "{what} is not in the fingerprint");
        }
    }
}

const X86: &str = "x86_64-unknown-linux-gnu";
const TARGETS: [&str; 2] = [X86, "aarch64-unknown-linux-gnu"];

/// Other values for one of serde's values: those of its own kind, and those of the
/// enumerations that tunables have.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(value) => vec![json!(!value)],
        Value::Number(number) => {
            let number = number.as_u64().expect("tunables are not negative");
            vec![json!(number + 1), json!(number.wrapping_sub(1))]
        }
        _ => {
            vec![json!(1), json!("Null"), json!("Yes"), json!({ "Table": OperatorCost::default() })]
        }
    }
}

/// Every change of one leaf of a value, with the leaf's path.
fn changed_leaves(value: &Value, path: &str) -> Vec<(String, Vec<Value>)> {
    let Value::Object(fields) = value else {
        return vec![(path.to_owned(), others(value))];
    };
    let mut leaves = Vec::new();
    for (name, field) in fields {
        for (path, changed) in changed_leaves(field, &format!("{path}.{name}")) {
            let put = |leaf: Value| {
                let mut fields = fields.clone();
                fields.insert(name.clone(), leaf);
                Value::Object(fields)
            };
            leaves.push((path, changed.into_iter().map(put).collect()));
        }
    }
    leaves
}

fn tunables_that_differ_in_one_field(tunables: &Tunables) -> Vec<(String, Tunables)> {
    let original = serde_json::to_value(tunables).expect("plain data can be serialised");
    let mut found = Vec::new();
    for (path, changed) in changed_leaves(&original, "tunables") {
        let accepted = |changed: &Value| {
            let tunables: Tunables = serde_json::from_value(changed.clone()).ok()?;
            let read = serde_json::to_value(&tunables).ok()?;
            (read != original).then_some(tunables)
        };
        let tunables = changed.iter().find_map(accepted);
        found.push((
            path.clone(),
            tunables.unwrap_or_else(|| panic!("{path}: no other value is known")),
        ));
    }
    found
}

#[test]
fn every_tunable() {
    let artifact = Artifact::of(X86);
    let with = |tunables: Tunables| Metadata { tunables, ..artifact.metadata.clone() };
    let mut changes = Vec::new();
    for (what, tunables) in tunables_that_differ_in_one_field(&artifact.metadata.tunables) {
        if what == "tunables.operator_cost" {
            // And each operator's cost.
            changes.extend(tunables_that_differ_in_one_field(&tunables).into_iter().filter_map(
                |(what, tunables)| what.contains(".Table.").then(|| (what, with(tunables))),
            ));
        }
        changes.push((what, with(tunables)));
    }
    println!("{} changes of tunables", changes.len());
    assert!(changes.len() > 500, "operators have no costs any more");
    artifact.assert_changes(&changes);
}

#[test]
fn a_host_that_compiles_with_winch_is_refused() {
    let artifact = Artifact::of(X86);
    let mut metadata = artifact.metadata.clone();
    metadata.tunables.winch_callable = true;
    let error = Compiler::new(artifact.settings(&metadata)).err().expect("it is not Cranelift");
    let expected = "the host compiles with Winch, and this program with Cranelift";
    assert_eq!(error.to_string(), expected);
}

/// Every flag that Cranelift knows, with each value other than the one that is set.
fn changed_flags(
    known: impl Iterator<Item = settings::Setting>,
    set: &[(String, Flag)],
) -> Vec<(String, Vec<(String, Flag)>)> {
    let mut changes = Vec::new();
    for setting in known {
        let Some(at) = set.iter().position(|(name, _)| name == setting.name) else {
            assert_eq!(
                setting.kind,
                settings::SettingKind::Preset,
                "{} is not recorded",
                setting.name
            );
            continue;
        };
        let others = match &set[at].1 {
            Flag::Bool(value) => vec![Flag::Bool(!value)],
            Flag::Num(value) => vec![Flag::Num(value ^ 1)],
            Flag::Enum(value) => {
                let values = setting.values.expect("an enumeration has values");
                let others = values.iter().filter(|other| *other != value);
                others.map(|other| Flag::Enum((*other).to_owned())).collect()
            }
        };
        assert!(!others.is_empty(), "{}: no other value is known", setting.name);
        for other in others {
            let what = format!("{}={other:?}", setting.name);
            let mut flags = set.to_vec();
            flags[at].1 = other;
            changes.push((what, flags));
        }
    }
    assert!(changes.len() >= set.len(), "flags that Cranelift does not list");
    changes
}

#[test]
fn every_shared_flag() {
    let artifact = Artifact::of(X86);
    let changed = changed_flags(settings::builder().iter(), &artifact.metadata.shared_flags);
    println!("{} changes of shared flags", changed.len());
    let with =
        |(what, shared_flags)| (what, Metadata { shared_flags, ..artifact.metadata.clone() });
    artifact.assert_changes(&changed.into_iter().map(with).collect::<Vec<_>>());
}

#[test]
fn every_isa_flag() {
    for target in TARGETS {
        let artifact = Artifact::of(target);
        let isa = isa::lookup_by_name(target).expect("it is in this build");
        let changed = changed_flags(isa.iter(), &artifact.metadata.isa_flags);
        println!("{target}: {} changes of flags", changed.len());
        let with = |(what, isa_flags)| (what, Metadata { isa_flags, ..artifact.metadata.clone() });
        artifact.assert_changes(&changed.into_iter().map(with).collect::<Vec<_>>());
    }
}

#[test]
fn every_wasm_feature() {
    let artifact = Artifact::of(X86);
    let changes: Vec<_> = WasmFeatures::all()
        .iter_names()
        .map(|(name, feature)| {
            let features = artifact.metadata.features ^ feature.bits();
            (name.to_owned(), Metadata { features, ..artifact.metadata.clone() })
        })
        .collect();
    println!("{} changes of features", changes.len());
    assert!(changes.len() > 20, "{} features only", changes.len());
    artifact.assert_changes(&changes);
}

#[test]
fn targets() {
    let artifact = Artifact::of(X86);
    let changes = ["x86_64-unknown-linux-musl", "x86_64-apple-darwin", TARGETS[1]].map(|target| {
        (target.to_owned(), Metadata { target: target.to_owned(), ..artifact.metadata.clone() })
    });
    artifact.assert_changes(&changes);
}

#[test]
fn optimisation_levels() {
    let levels = [None, Some(OptLevel::None), Some(OptLevel::Speed), Some(OptLevel::SpeedAndSize)];
    let of = |opt_level| {
        let options = Options { opt_level, ..Options::default() };
        fingerprint(&Settings::from_options(&options).expect("Wasmtime has this level"))
    };
    let distinct: BTreeSet<_> = levels.map(of).into();
    // Speed is the default.
    assert_eq!(distinct.len(), levels.len() - 1);
}

/// The settings of Wasmtime's compiler that are no flags of Cranelift's, as its
/// source names them.
fn literals() -> Vec<String> {
    let path = package("wasmtime-internal-cranelift").join("src/builder.rs");
    let source = fs::read_to_string(path).expect("the source is there");
    let arms = source.lines().filter_map(|line| line.trim().strip_suffix("\" => {"));
    let names = arms.filter_map(|arm| arm.strip_prefix('"'));
    names.filter(|name| name.starts_with("wasmtime_")).map(str::to_owned).collect()
}

#[test]
fn every_literal() {
    let literals = literals();
    assert!(literals.len() >= 5, "the source is written otherwise: {literals:?}");
    let settings = Settings::from_options(&Options::default()).expect("these are the defaults");
    let mut distinct = BTreeSet::from([fingerprint(&settings)]);
    for name in &literals {
        for value in ["0", "1", "true"] {
            let with = settings.clone().with_literal(name, value);
            assert!(distinct.insert(fingerprint(&with)), "{name}={value}");
        }
    }
}
