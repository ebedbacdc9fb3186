//! How much it matters where parameters, gradients and state lie in their pages of memory.
//!
//! `cargo bench --bench layout` takes about a minute. Each row has as many draws as fit, in turns, and says how the medians
//! of their times spread: AdamW with its own state, beside `Vec`s as they come, `Buffer`s, and slices that begin anywhere in
//! a page; and, for what an allocator can do to any optimizer, the bare streams of the same step with all of them anywhere.

#[path = "step/ceiling.rs"]
#[allow(dead_code, reason = "shared with the bench of steps")]
mod ceiling;
#[path = "step/data.rs"]
#[allow(dead_code, reason = "shared with the bench of steps")]
mod data;
#[path = "step/parts.rs"]
mod parts;
#[path = "step/widest.rs"]
mod widest;

use data::{Data, Placed};
use lanestep::{AdamW, Buffer, Optimizer, Parallelism};
use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

/// What is timed.
type Draw = Box<dyn FnMut()>;

fn step(
    n: usize,
    mut params: impl DerefMut<Target = [f32]> + 'static,
    grads: impl Deref<Target = [f32]> + 'static,
    parallelism: Parallelism,
) -> Draw {
    let mut optimizer = Optimizer::new(AdamW::default(), n).expect("memory");
    optimizer.set_parallelism(parallelism);
    Box::new(move || optimizer.step(&mut params, &grads).expect("right lengths"))
}

fn anywhere(rng: &mut fastrand::Rng) -> Option<usize> {
    Some(rng.usize(..256) * 16)
}

fn draw(kind: &str, n: usize, parallelism: Parallelism, rng: &mut fastrand::Rng) -> Draw {
    let Data { params, grads, .. } = Data::new(n, 0);
    // So that what comes next from the allocator is elsewhere than the last time.
    black_box(vec![0_u8; rng.usize(..8192)]).leak();
    match kind {
        "vecs" => step(n, params.to_vec(), grads.to_vec(), parallelism),
        "buffers" => {
            let [mut p, mut g] = Buffer::together([n; 2]).expect("memory");
            p.copy_from_slice(&params);
            g.copy_from_slice(&grads);
            step(n, p, g, parallelism)
        }
        "anywhere" => {
            let [params, grads] = [params, grads].map(|numbers| Placed::new(&numbers, anywhere(rng)));
            step(n, params, grads, parallelism)
        }
        "streams anywhere" => {
            let passes = ceiling::Passes { first: None, parallel: parallelism != Parallelism::Serial };
            let [params, grads] = [params, grads].map(|numbers| Placed::new(&numbers, anywhere(rng)));
            let state = (0..2).map(|_| Placed::new(&vec![0.0; n], anywhere(rng))).collect();
            let mut data = Data { params, grads, state };
            Box::new(move || passes.run(&mut data))
        }
        other => panic!("no layout {other}"),
    }
}

fn main() {
    let brief = std::env::args().any(|arg| arg == "--test");
    let (draws, rounds) = if brief { (2, 1) } else { (48, 15) };
    let modes = [
        ("serial", Parallelism::Serial),
        #[cfg(feature = "rayon")]
        ("rayon", Parallelism::RAYON),
    ];
    println!("ns a parameter: best, median and worst of {draws} draws; worst over best");
    for (name, n) in [("2^14", 1 << 14), ("10^5", 100_000), ("10^6", 1_000_000), ("2^24", 1 << 24)] {
        let draws = if n > 1 << 17 { draws.min(12) } else { draws };
        for (mode, parallelism) in modes {
            for kind in ["vecs", "buffers", "anywhere", "streams anywhere"] {
                let rng = &mut fastrand::Rng::with_seed(n as u64);
                let repeat = if brief { 1 } else { (1 << 18) / n + 1 };
                let mut draws: Vec<Draw> = (0..draws).map(|_| draw(kind, n, parallelism, rng)).collect();
                let mut times = vec![vec![]; draws.len()];
                for _ in 0..rounds {
                    for (run, times) in draws.iter_mut().zip(&mut times) {
                        run();
                        let start = Instant::now();
                        (0..repeat).for_each(|_| run());
                        times.push(start.elapsed().as_secs_f64() * 1e9 / (repeat * n) as f64);
                    }
                }
                let mut medians: Vec<f64> = times
                    .iter_mut()
                    .map(|times| {
                        times.sort_by(f64::total_cmp);
                        times[times.len() / 2]
                    })
                    .collect();
                medians.sort_by(f64::total_cmp);
                let (best, worst) = (medians[0], medians[medians.len() - 1]);
                let median = medians[medians.len() / 2];
                println!("{name} {mode:6} {kind:16} {best:.3} {median:.3} {worst:.3}   {:.2}", worst / best);
            }
        }
    }
}
