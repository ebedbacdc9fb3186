//! Who is timed, and the seam that all are timed through.

pub(crate) mod burn;
#[allow(unsafe_code, reason = "calls C")]
pub(crate) mod c;
pub(crate) mod candle;
pub(crate) mod lanestep;
pub(crate) mod loops;
pub(crate) mod python;
pub(crate) mod rlx;

use crate::case::{Case, Format, Work};
use crate::data::Numbers;
use anyhow::Result;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is known of a peer.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) name: &'static str,
    /// Or what it was compiled by.
    pub(crate) version: String,
    pub(crate) format: Format,
    /// Whether its users have clipping by the norm over all tensors.
    pub(crate) clips: bool,
    /// Whether its threads go on spinning for a while, on the cores that the next peer needs.
    pub(crate) spins: bool,
    /// Whether it steps: the ceiling only moves memory.
    pub(crate) steps: bool,
}

impl Default for About {
    fn default() -> Self {
        Self {
            name: "",
            version: String::new(),
            format: Format::F32,
            clips: false,
            spins: false,
            steps: true,
        }
    }
}

/// An implementation of AdamW.
pub(crate) trait Peer {
    fn about(&self) -> About;

    /// A new optimizer over new memory.
    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run + '_>>;

    /// The process that it is in, if another.
    fn pid(&self) -> Option<u32> {
        None
    }
}

/// An optimizer with its parameters and gradients.
pub(crate) trait Run {
    /// Takes `count` steps, and says how long all of them took.
    fn steps(&mut self, count: usize) -> Result<Duration>;

    /// Multiplies the gradients, also the ones that were clipped in place.
    fn scale_grads(&mut self, factor: f32) -> Result<()>;

    /// All parameters, tensor after tensor.
    fn params(&mut self) -> Result<Vec<f32>>;
}

/// How long `count` calls take.
pub(crate) fn time(count: usize, mut step: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..count {
        step()?;
    }
    Ok(start.elapsed())
}

/// Whether a peer is in a case.
pub(crate) fn takes_part(about: &About, case: &Case) -> bool {
    if about.name == lanestep::BUFFERS {
        return case.work == Work::Step && case.lens.len() == 1;
    }
    match case.work {
        Work::Step => about.format == Format::F32,
        Work::Zeros => about.format == Format::F32 && about.steps,
        Work::Clip => about.clips && about.steps,
        Work::Formats => about.format != Format::F32 || [lanestep::NAME, c::NAME].contains(&about.name),
    }
}

/// A name, and the peer or why it cannot be had here.
pub(crate) type Found = (&'static str, Result<Box<dyn Peer>>);

/// All of them, lanestep first. Those that choose their number of threads themselves are told it by the environment.
pub(crate) fn all(threads: usize, python: Option<&Path>, asked: &dyn Fn(&str) -> bool) -> Vec<Found> {
    let mut all: Vec<Found> = vec![];
    all.extend(lanestep::all());
    all.extend(loops::all());
    all.extend(c::all(threads));
    all.extend(candle::all());
    all.extend([burn::peer(), rlx::peer(false), rlx::peer(true)]);
    all.retain(|(name, _)| asked(name));
    if let Some(python) = python {
        all.extend(python::all(python, threads, asked));
    }
    all
}

/// The version of a package that this was built with, the first that begins so.
pub(crate) fn version(package: &str, begins: &str) -> String {
    let lock = include_str!("../../../Cargo.lock");
    let name = format!("name = \"{package}\"\nversion = \"");
    let mut versions = lock.split(&name).skip(1).filter_map(|rest| rest.split('"').next());
    versions.find(|version| version.starts_with(begins)).unwrap_or("of unknown version").to_owned()
}
