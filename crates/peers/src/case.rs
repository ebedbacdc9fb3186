//! What is stepped, and how.

use serde::{Deserialize, Serialize};

/// Gradients are clipped to this norm over all tensors where a case clips.
pub(crate) const MAX_NORM: f64 = 1.0;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Of the tensors.
    pub(crate) lens: Vec<usize>,
    pub(crate) work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Step,
    /// Clip by global norm, and step.
    Clip,
    /// With numbers that are kept in fewer bytes than `f32`.
    Formats,
    /// One step with gradients, and then with zeros.
    Zeros,
}

/// What a peer keeps parameters, gradients and state in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Format {
    F32,
    Bf16State,
    Bf16,
    Block8,
}

impl Format {
    /// How far from the run in `f64` a parameter may be, of magnitude 0.5 and moved by 0.003. In `f32`, all are within some
    /// 1e-7. A parameter in `bf16` is rounded by up to 0.001 in each step, and state in `bf16` by 0.2 %.
    pub(crate) const fn bound(self) -> f64 {
        match self {
            Self::F32 => 1e-6,
            Self::Bf16State => 1e-4,
            Self::Bf16 => 5e-3,
            Self::Block8 => 5e-3,
        }
    }
}

impl Case {
    pub(crate) fn params(&self) -> usize {
        self.lens.iter().sum()
    }

    /// By what the gradients are multiplied after the first steps: with the same ones in all steps, a wrong `beta` would not be
    /// seen. Signs alone where they are clipped, as some clip in place.
    pub(crate) const fn scales(&self) -> [f32; 2] {
        match self.work {
            Work::Step | Work::Formats => [-0.5, -2.0],
            Work::Clip => [-1.0, -1.0],
            Work::Zeros => [0.0, 1.0],
        }
    }
}

fn gpt2(layers: usize, words: usize) -> Vec<usize> {
    const WIDTH: usize = 768;
    let attention = [WIDTH, WIDTH, 3 * WIDTH * WIDTH, 3 * WIDTH, WIDTH * WIDTH, WIDTH];
    let mlp = [WIDTH, WIDTH, 4 * WIDTH * WIDTH, 4 * WIDTH, 4 * WIDTH * WIDTH, WIDTH];
    let layer = [attention, mlp].concat();
    [vec![words * WIDTH, 1024 * WIDTH], layer.repeat(layers), vec![WIDTH, WIDTH]].concat()
}

/// All cases, smaller ones if `quick`, whose names contain one of `filters`, if there are any.
pub(crate) fn cases(quick: bool, filters: &[String]) -> Vec<Case> {
    let case = |name: &str, work, lens| Case { name: name.to_owned(), lens, work };
    let one = |name: &str, work, len| case(name, work, vec![len]);
    let mut cases = vec![one("step/1e3", Work::Step, 1000), one("step/1e5", Work::Step, 100_000)];
    if quick {
        cases.extend([
            one("step/2^22", Work::Step, 1 << 22),
            case("tensors/gpt2", Work::Step, gpt2(1, 1000)),
            case("tensors/1000x1000", Work::Step, vec![1000; 1000]),
            one("clip/1e6", Work::Clip, 1_000_000),
            one("formats/2^20", Work::Formats, 1 << 20),
        ]);
    } else {
        cases.insert(1, one("step/1e4", Work::Step, 10_000));
        cases.extend([
            one("step/1e6", Work::Step, 1_000_000),
            one("step/2^24", Work::Step, 1 << 24),
            one("step/2^26", Work::Step, 1 << 26),
            case("tensors/gpt2", Work::Step, gpt2(12, 50257)),
            case("tensors/10000x1000", Work::Step, vec![1000; 10_000]),
            one("clip/1e6", Work::Clip, 1_000_000),
            one("clip/2^24", Work::Clip, 1 << 24),
            one("formats/2^14", Work::Formats, 1 << 14),
            one("formats/2^24", Work::Formats, 1 << 24),
        ]);
    }
    cases.push(one("zeros/2^14", Work::Zeros, 1 << 14));
    cases.retain(|case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter)));
    cases
}
