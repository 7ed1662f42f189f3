//! A fuzzer's first choices -> the configuration and the kind of module of an execution.

use arbitrary::Unstructured;
use generate::smith::Kind;
use oracle::hosts::{Host, Setting};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One thread each: an execution is too short to share.
static HOSTS: LazyLock<BTreeMap<Setting, Host>> = LazyLock::new(|| {
    let host = |setting| {
        let host = Host::new(setting, |config| {
            config.parallel_compilation(false);
        });
        (setting, host)
    };
    Setting::ALL.into_iter().map(host).collect()
});

/// The configuration, and what modules are made of.
///
/// # Errors
///
/// There are no bytes left.
pub fn choose(choices: &mut Unstructured<'_>) -> arbitrary::Result<(&'static Host, Kind)> {
    let kind = *choices.choose(&Kind::ALL)?;
    let setting = match kind {
        Kind::Proposals => Setting::Proposals,
        // Most go where they are taken.
        _ if choices.ratio(3, 5)? => Setting::Default,
        _ => *choices.choose(&Setting::ALL)?,
    };
    Ok((&HOSTS[&setting], kind))
}
