//! A `.wast` file -> its modules, and its directives one by one in the form that Wasmtime reads.

use json_from_wast::{Command, Opts, WasmFile, WasmFileType};
use std::collections::BTreeMap;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};

/// A parsed file.
#[derive(Default)]
pub struct Script {
    /// What messages call it.
    name: String,
    /// Modules by the name under which Wasmtime asks for their artifacts.
    pub modules: BTreeMap<String, Vec<u8>>,
    /// What is done, in order.
    pub units: Vec<Unit>,
}

/// A directive; or several that have to be run at once, because a thread is started in the first
/// and waited for in the last.
pub struct Unit {
    /// The first one's line.
    pub line: u32,
    /// How many.
    pub directives: u64,
    /// The modules that they load, or must not be able to.
    pub modules: Vec<String>,
    /// How many of the modules have to load.
    pub loads: u64,
    /// Whether the file says that this works. Wasm-tools does not run its tests, we try.
    pub claimed: bool,
    /// Each as JSON.
    commands: Vec<String>,
}

impl Script {
    /// Parses a file. With `only_valid`, each module is a definition, and instantiated after that.
    ///
    /// # Errors
    ///
    /// The parser's, if the text is not a script.
    pub fn parse(name: &str, text: &str, only_valid: bool) -> Result<Self, String> {
        let mut lexer = Lexer::new(text);
        lexer.allow_confusing_unicode(true);
        let mut buffer = ParseBuffer::new_with_lexer(lexer).map_err(|error| error.message())?;
        buffer.track_instr_spans(true);
        let ast = parser::parse::<wast::Wast<'_>>(&buffer).map_err(|error| error.message())?;
        let wast = Opts::default().dwarf(true).convert(name, text, ast);
        let wast = wast.map_err(|error| format!("{error:#}"))?;

        let mut modules = BTreeMap::new();
        // A module that is given as text may be there in both forms; the binary comes last.
        for (file, bytes) in wast.wasms {
            modules.insert(artifact_of(&file), bytes);
        }
        let mut units = Vec::new();
        let mut commands = wast.commands.into_iter();
        while let Some(command) = commands.next() {
            if only_valid && let Command::Module { line, file, .. } = &command {
                let definition =
                    Command::ModuleDefinition { line: *line, name: None, file: copy(file) };
                units.push(Unit::of(&[definition], true));
                units.push(Unit::of(&[command], false));
                continue;
            }
            let mut together = vec![command];
            while running(&together) > 0
                && let Some(next) = commands.next()
            {
                together.push(next);
            }
            let claimed = !only_valid || together.iter().all(is_about_validity);
            units.push(Unit::of(&together, claimed));
        }
        Ok(Self { name: name.to_owned(), modules, units })
    }

    /// Other modules under the same names, with no directives.
    pub fn with_modules(&self, modules: BTreeMap<String, Vec<u8>>) -> Self {
        Self { name: self.name.clone(), modules, units: Vec::new() }
    }

    /// Some of the script's units in the form of [`wasmtime_wast::WastContext::run_file`].
    pub fn json(&self, units: &[Unit]) -> String {
        let commands: Vec<&str> =
            units.iter().flat_map(|unit| &unit.commands).map(String::as_str).collect();
        let (name, commands) = (serde_json::Value::from(self.name.as_str()), commands.join(","));
        format!(r#"{{"source_filename":{name},"commands":[{commands}]}}"#)
    }
}

impl Unit {
    fn of(commands: &[Command<'_>], claimed: bool) -> Self {
        let all: Vec<&Command<'_>> = commands.iter().flat_map(nested).collect();
        let files = all.iter().filter_map(|command| module(command));
        let line = commands.first().map_or(0, Command::line);
        let (directives, modules) =
            (all.len() as u64, files.map(|(_, file)| artifact(file)).collect());
        let loads = all.iter().filter(|command| module(command).is_some_and(|(loads, _)| loads));
        let loads = loads.count() as u64;
        let json = |command| serde_json::to_string(command).expect("it is made to be written");
        let commands = commands.iter().map(json).collect();
        Self { line, directives, modules, loads, claimed, commands }
    }
}

/// Threads that were started and not waited for.
fn running(commands: &[Command<'_>]) -> usize {
    let count =
        |is: fn(&Command<'_>) -> bool| commands.iter().filter(|command| is(command)).count();
    let started = count(|command| matches!(command, Command::Thread { .. }));
    started.saturating_sub(count(|command| matches!(command, Command::Wait { .. })))
}

fn is_about_validity(command: &Command<'_>) -> bool {
    match command {
        Command::ModuleDefinition { .. } => true,
        _ => module(command).is_some_and(|(loads, _)| !loads),
    }
}

fn nested<'a, 'b>(command: &'a Command<'b>) -> Vec<&'a Command<'b>> {
    let mut all = vec![command];
    if let Command::Thread { commands, .. } = command {
        all.extend(commands.iter().flat_map(nested));
    }
    all
}

/// The module that a directive is about, and whether it has to load.
fn module<'a, 'b>(command: &'a Command<'b>) -> Option<(bool, &'a WasmFile<'b>)> {
    match command {
        Command::Module { file, .. }
        | Command::ModuleDefinition { file, .. }
        | Command::AssertUnlinkable { file, .. }
        | Command::AssertUninstantiable { file, .. } => Some((true, file)),
        Command::AssertMalformed { file, .. }
        | Command::AssertMalformedCustom { file, .. }
        | Command::AssertInvalid { file, .. }
        | Command::AssertInvalidCustom { file, .. } => Some((false, file)),
        Command::ModuleInstance { .. }
        | Command::Register { .. }
        | Command::AssertReturn { .. }
        | Command::Action { .. }
        | Command::AssertTrap { .. }
        | Command::AssertExhaustion { .. }
        | Command::AssertException { .. }
        | Command::AssertSuspension { .. }
        | Command::Thread { .. }
        | Command::Wait { .. } => None,
    }
}

fn artifact(file: &WasmFile<'_>) -> String {
    let binary = file.binary_filename.as_ref().filter(|_| file.module_type == WasmFileType::Text);
    artifact_of(binary.unwrap_or(&file.filename))
}

/// `gc.3.wasm` and `gc.3.wat` are looked for in `gc.3.cwasm`.
fn artifact_of(file: &str) -> String {
    let path = std::path::Path::new(file).with_extension("cwasm");
    path.to_str().expect("it was text").to_owned()
}

fn copy(file: &WasmFile<'_>) -> WasmFile<'static> {
    WasmFile {
        filename: file.filename.to_string().into(),
        module_type: file.module_type,
        binary_filename: file.binary_filename.as_ref().map(|name| name.to_string().into()),
    }
}
