//! The settings that are about checking hits.

use super::Config;
use super::source::{Chosen, Source, choose, switch};
use crate::args::{SampleArgs, Sampled};
use crate::exit::Failure;
use std::str::FromStr as _;
use wasm_compiler::VerifySample;

/// Both settings and where they came from.
#[derive(Clone, Debug)]
pub struct SampleSources {
    pub sample: Option<Chosen<Sampled>>,
    pub strict: Chosen<bool>,
}

impl Config {
    /// The share of the hits that is compiled again, if one is.
    pub fn verify_sample(&self, args: &SampleArgs) -> Result<Option<VerifySample>, Failure> {
        let SampleSources { sample, strict } = self.sample_sources(args)?;
        let one_in = sample.and_then(|sample| VerifySample::one_in(sample.value.one_in()));
        if one_in.is_none() && args.verify_strict {
            let why = "no hits are to be verified, and --verify-strict wants some to be; give \
                       --verify-sample 1/N";
            return Err(Failure::usage(why));
        }
        Ok(one_in.map(|sample| sample.strict(strict.value)))
    }

    /// The same, with where it came from.
    pub fn sample_sources(&self, args: &SampleArgs) -> Result<SampleSources, Failure> {
        let in_file = self.in_file(&self.file.verify_sample);
        let sample =
            choose(args.verify_sample, "STENCIL_VERIFY_SAMPLE", Sampled::from_str, in_file)?;
        let in_file = self.in_file(&self.file.verify_strict);
        let flag = args.verify_strict.then_some(true);
        let strict = choose(flag, "STENCIL_VERIFY_STRICT", switch, in_file)?;
        let strict = strict.unwrap_or(Chosen::new(false, Source::Default));
        Ok(SampleSources { sample, strict })
    }
}
