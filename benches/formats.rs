//! What the formats of parameters, gradients and state cost, and what they save.
//!
//! `cargo bench --bench formats` takes a minute and 2 GB. AdamW, in turns; ratios are of medians, to the step that has `f32`
//! throughout. At 2^14 on one thread, all is in the cache, and arithmetic is what counts; at 2^24 on all threads memory is, and
//! beside each row is its ceiling: the same bytes, read and written with next to no arithmetic.

use half::{bf16, f16};
use lanestep::{AdamW, Buffer, Element, Format, Level, Optimizer, Parallelism, Pipeline, Tensor};
use rayon::prelude::*;
use std::time::Instant;

/// What is timed: some steps.
type Row = (&'static str, Box<dyn FnMut(usize)>);

/// Memory that begins where it does not disturb the others, as numbers of any type.
fn numbers<T: bytemuck::Pod>(buffer: &mut Buffer, len: usize) -> &mut [T] {
    &mut bytemuck::cast_slice_mut(buffer)[..len]
}

fn step<P, G>(name: &'static str, n: usize, level: Level, parallelism: Parallelism, state: Format) -> Row
where
    P: Element + bytemuck::Pod + From16,
    G: Element + bytemuck::Pod + From16,
{
    let [mut params, mut grads] = Buffer::together([n; 2]).expect("memory");
    let rng = &mut fastrand::Rng::with_seed(n as u64);
    numbers::<P>(&mut params, n).iter_mut().for_each(|p| *p = P::from_16(rng.f32() - 0.5));
    numbers::<G>(&mut grads, n).iter_mut().for_each(|g| *g = G::from_16(rng.f32() - 0.5));
    let mut optimizer = Optimizer::new(AdamW::default(), n).expect("memory");
    optimizer.set_state_format(None, state).expect("memory");
    optimizer.set_level(level);
    optimizer.set_parallelism(parallelism);
    let before = numbers::<P>(&mut params, n)[n - 1];
    let mut steps = move |count| {
        for _ in 0..count {
            let tensors = &mut [Tensor::new(numbers::<P>(&mut params, n), numbers::<G>(&mut grads, n))];
            optimizer.step_with(tensors, &Pipeline::default()).expect("right lengths");
        }
        numbers::<P>(&mut params, n)[n - 1]
    };
    assert!(bytemuck::bytes_of(&steps(3)) != bytemuck::bytes_of(&before), "{name}: nothing has moved");
    let steps = move |count| {
        steps(count);
    };
    (name, Box::new(steps))
}

/// From a number that sixteen bits hold well enough.
trait From16 {
    fn from_16(x: f32) -> Self;
}

impl From16 for f32 {
    fn from_16(x: f32) -> Self {
        x
    }
}

impl From16 for bf16 {
    fn from_16(x: f32) -> Self {
        Self::from_f32(x)
    }
}

/// The bytes a parameter of each stream, and whether it is written.
const STREAMS: [(&str, [(usize, bool); 4]); 4] = [
    ("f32", [(4, true), (4, false), (4, true), (4, true)]),
    ("bf16 state", [(4, true), (4, false), (2, true), (2, true)]),
    ("bf16 state and gradients", [(4, true), (2, false), (2, true), (2, true)]),
    ("bf16 throughout", [(2, true), (2, false), (2, true), (2, true)]),
];

const BLOCK: usize = 2048;

fn ceiling(name: &'static str, n: usize, streams: [(usize, bool); 4]) -> Row {
    let mut buffers = Buffer::together([n; 4]).expect("memory");
    buffers.iter_mut().for_each(|buffer| numbers::<u32>(buffer, n).fill(1));
    let pass = move || {
        let [a, b, c, d] = &mut buffers;
        let [a, b, c, d] = [(a, 0), (b, 1), (c, 2), (d, 3)].map(|(buffer, k)| {
            let (bytes, written) = streams[k];
            let words = numbers::<u32>(buffer, n * bytes / 4);
            (words.par_chunks_mut(BLOCK * bytes / 4), written)
        });
        let touch = |sum: &mut u32, words: &mut [u32], written: bool| {
            if written {
                words.iter_mut().for_each(|word| *word = word.wrapping_add(*sum | 1));
            } else {
                *sum = words.iter().fold(*sum, |sum, word| sum ^ word);
            }
        };
        let written = [a.1, b.1, c.1, d.1];
        a.0.zip(b.0).zip(c.0).zip(d.0).with_min_len(1 << 10).for_each(|(((a, b), c), d)| {
            let mut sum = 0;
            touch(&mut sum, b, written[1]);
            touch(&mut sum, a, written[0]);
            touch(&mut sum, c, written[2]);
            touch(&mut sum, d, written[3]);
        });
    };
    let mut pass = pass;
    (name, Box::new(move |count| (0..count).for_each(|_| pass())))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// In turns. The first row is what the others are in proportion to.
fn turns(title: &str, n: usize, rows: &mut [Row], rounds: usize, count: usize) {
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..rounds {
        for ((_, row), times) in rows.iter_mut().zip(&mut times) {
            let start = Instant::now();
            row(count);
            times.push(start.elapsed().as_secs_f64() * 1e9 / (n * count) as f64);
        }
    }
    let medians: Vec<_> = times.iter_mut().map(|times| median(times)).collect();
    for ((name, _), time) in rows.iter().zip(&medians) {
        println!("{title} {name}: {time:.3} ns a parameter, {:.2}", time / medians[0]);
    }
}

fn steps(n: usize, level: Level, parallelism: Parallelism) -> Vec<Row> {
    vec![
        step::<f32, f32>("f32", n, level, parallelism, Format::F32),
        step::<f32, f32>("bf16 state", n, level, parallelism, Format::Bf16),
        step::<f32, bf16>("bf16 state and gradients", n, level, parallelism, Format::Bf16),
        step::<bf16, bf16>("bf16 throughout", n, level, parallelism, Format::Bf16),
        step::<f32, f32>("f16 state", n, level, parallelism, Format::F16),
        step::<f32, f16>("f16 gradients", n, level, parallelism, Format::F32),
    ]
}

impl From16 for f16 {
    fn from_16(x: f32) -> Self {
        Self::from_f32(x)
    }
}

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    let (rounds, count) = if test { (1, 1) } else { (101, 50) };
    for level in Level::available() {
        let n = 1 << 14;
        turns(&format!("2^14 {level}"), n, &mut steps(n, level, Parallelism::Serial), rounds, count);
    }
    let (n, rounds) = if test { (1 << 16, 1) } else { (1 << 24, 21) };
    let mut rows = steps(n, Level::best(), Parallelism::RAYON);
    rows.extend(STREAMS.map(|(name, streams)| ceiling(name, n, streams)));
    rows[6..].iter_mut().for_each(|(_, row)| row(1));
    turns("2^24, then ceilings:", n, &mut rows, rounds, 1);
}
