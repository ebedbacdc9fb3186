//! What memory can do.

use crate::ceiling::{self, Passes};
use crate::data::{Data, Layout};
use crate::measure::{Bench, Run, best, pool, threads, turns};
use crate::parts::in_parts;
use crate::{Result, progress};

/// Of AdamW.
const SLOTS: usize = 2;
const MOVED: f64 = 28.0;

/// Streams of these lengths are in the first, second and third cache of most machines.
const IN_CACHE: [(&str, usize); 3] = [("L1", 1 << 10), ("L2", 1 << 14), ("L3", 1 << 18)];

/// All in GB/s.
pub(crate) struct Bandwidth {
    len: usize,
    /// By threads: of reading, copying, and of the streams of a step.
    in_dram: Vec<(usize, [f64; 3])>,
    /// Of the streams of a step.
    in_cache: [f64; 3],
}

pub(crate) fn measure(bench: &Bench) -> Result<Bandwidth> {
    let all = bench.threads();
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1), |n| Some(2 * n)).take_while(|n| *n < all).collect();
    counts.push(all);
    let bar = progress("memory", counts.len() + IN_CACHE.len())?;
    let len = bench.in_dram;
    let data = Data::new(len, SLOTS);
    let mut laid_out = Layout::ALL.map(|layout| data.laid_out(layout));
    let mut in_dram = Vec::new();
    for threads in counts {
        let pool = pool(threads)?;
        let mut gb = |bytes, pass: fn(bool, &mut Data)| {
            let passes = in_layouts(&mut laid_out, move |data| pass(threads > 1, data));
            bytes / best(&turns(&pool, len, bench.effort(len), passes))
        };
        in_dram.push((threads, [gb(16.0, read), gb(8.0, copy), gb(MOVED, step)]));
        bar.inc(1);
    }
    let in_cache = IN_CACHE.map(|(_, len)| {
        let data = Data::new(len, SLOTS);
        let mut laid_out = Layout::ALL.map(|layout| data.laid_out(layout));
        let passes = in_layouts(&mut laid_out, |data| step(false, data));
        bar.inc(1);
        MOVED / best(&turns(&bench.one, len, bench.effort(len), passes))
    });
    bar.finish_and_clear();
    let bandwidth = Bandwidth { len, in_dram, in_cache };
    let positive = |gb: &f64| *gb > 0.0 && gb.is_finite();
    assert!(bandwidth.in_cache.iter().all(positive));
    assert!(bandwidth.in_dram.iter().all(|(_, gb)| gb.iter().all(positive)));
    Ok(bandwidth)
}

fn in_layouts<'a>(all: &'a mut [Data], pass: impl Fn(&mut Data) + Copy + Send + 'a) -> Vec<Run<'a>> {
    all.iter_mut().map(|data| -> Run<'a> { Box::new(move || pass(data)) }).collect()
}

fn read(parallel: bool, data: &mut Data) {
    let [first, second] = &mut data.state[..] else { panic!("AdamW has two slots") };
    in_parts(parallel, &mut data.params, &data.grads, [first, second], ceiling::read);
}

fn copy(parallel: bool, data: &mut Data) {
    in_parts(parallel, &mut data.params, &data.grads, [], |params, grads, []| params.copy_from_slice(grads));
}

fn step(parallel: bool, data: &mut Data) {
    Passes { first: None, parallel }.run(data);
}

impl Bandwidth {
    pub(crate) fn print(&self) {
        let len = self.len;
        println!("\nGB/s, best of six layouts; in DRAM, streams of {} MB each", len * 4 / 1_000_000);
        println!("{:36}   read   copy  step-shaped (reads 4, writes 3)", "");
        for (count, [read, copy, step]) in &self.in_dram {
            println!("{:36} {read:6.1} {copy:6.1} {step:6.1}", format!("DRAM, {}", threads(*count)));
        }
        for ((name, len), gb) in IN_CACHE.iter().zip(self.in_cache) {
            let what = format!("{name}, 4 streams of {} KiB, 1 thread", len * 4 / 1024);
            println!("{what:36} {:>6} {:>6} {gb:6.1}", "", "");
        }
    }
}
