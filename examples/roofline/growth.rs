//! That a step costs as much for each parameter however many there are, and takes no memory beside what it keeps.

use crate::data::Data;
use crate::machine::{Machine, kilobytes};
use crate::measure::{Bench, turns};
use crate::rules::Step;
use crate::{Result, progress};
use lanestep::AdamW;

/// Of parameters, gradients and state.
const BYTES: usize = 4 * 4;
const MOVED: f64 = 28.0;
const STATUS: &str = "/proc/self/status";

struct Size {
    len: usize,
    /// As many as it takes for none to stay in a cache until its turn.
    sets: usize,
    /// In ns a parameter.
    time: f64,
    /// In bytes, of all sets, as far as the system says.
    peak: Option<usize>,
}

pub(crate) fn measure(bench: &Bench, machine: &Machine, quick: bool) -> Result<()> {
    let largest = if quick || machine.memory().is_none() { 24 } else { 28 };
    let fits = |n: &usize| machine.memory().is_none_or(|free| BYTES * n < free / 3 * 2);
    let lens: Vec<usize> = (20..=largest).step_by(2).map(|power| 1 << power).filter(fits).collect();
    let bar = progress("growth", lens.len())?;
    let mut sizes = Vec::new();
    for len in lens {
        sizes.push(size(len, bench)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    print(&sizes, bench);
    Ok(())
}

fn size(len: usize, bench: &Bench) -> Result<Size> {
    let data = Data::new(1 << 16, 0);
    let sets = bench.in_dram.max(1 << 24).div_ceil(len);
    let before = reset_peak();
    let mut steps =
        (0..sets).map(|_| Step::new(AdamW::default().into(), len, &data)).collect::<Result<Vec<_>>>()?;
    bench.all.install(|| steps.iter_mut().for_each(Step::run)); // the pages of the state
    let mut turn = 0;
    let next = || {
        turn = (turn + 1) % sets;
        steps[turn].run();
    };
    let time = turns(&bench.all, len, bench.effort(len), vec![Box::new(next)])[0];
    let peak = before.and_then(|before| kilobytes(STATUS, "VmHWM:")?.checked_sub(before));
    Ok(Size { len, sets, time, peak })
}

/// The bytes that are resident, from which on a peak is counted anew.
fn reset_peak() -> Option<usize> {
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    kilobytes(STATUS, "VmRSS:")
}

fn print(sizes: &[Size], bench: &Bench) {
    let mb = |bytes: usize| format!("{:.1}", bytes as f64 / 1e6);
    println!("\ncost grows linearly: AdamW, in no cache, {}", bench.settings()[2]);
    println!("parameters   sets in turns      ns   GB/s   MB of params, grads, state   MB resident at peak");
    for Size { len, sets, time, peak } in sizes {
        let peak = peak.map_or_else(|| String::from("unknown"), mb);
        let kept = mb(sets * BYTES * len);
        println!("2^{:<8} {sets:15} {time:7.3} {:6.1} {kept:>28} {peak:>21}", len.ilog2(), MOVED / time);
    }
    if let [first, .., last] = sizes {
        println!("A parameter of the most takes {:.2} times one of the fewest.", last.time / first.time);
    }
}
