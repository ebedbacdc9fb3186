//! What the formats of parameters, gradients and state cost, and what they save.
//!
//! `cargo bench --features half --bench formats` takes three minutes and 3 GB; behind `--`, a part of a name picks rows. Each row
//! is AdamW, checked against `lanestep::reference` before it is timed, and in turns with another step that has `f32` throughout.
//! Times are medians in ns a parameter, and ratios are to those of what is beside them. That of `f32` to `f32` shows the noise.
//!
//! At 2^14 on one thread, all is in the cache, and arithmetic is what counts. At 2^24 on all threads memory is. There, beside
//! each row is the ceiling of its own streams: the same bytes, read and written with next to no arithmetic, the best of several
//! layouts, and in the same turns. Then one thread has a smaller share of the memory than it could take, to see how good a model
//! is that takes the longer of arithmetic and moving; and the last part is no measurement, but that model on larger machines.

#[path = "formats/ceiling.rs"]
mod ceiling;
#[path = "formats/row.rs"]
mod row;
#[path = "formats/step.rs"]
mod step;
#[path = "step/widest.rs"]
mod widest;

use ceiling::{Ceiling, LAYOUTS};
use lanestep::{Level, Parallelism};
use row::Row;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;
use step::{Data, Step};

/// The medians of what is timed in turns, in ns for each of `n`.
fn turns(n: usize, (rounds, count): (usize, usize), timed: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut times = vec![vec![]; timed.len()];
    for _ in 0..rounds {
        for (run, times) in timed.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..count).for_each(|_| run());
            times.push(start.elapsed().as_secs_f64() * 1e9 / (n * count) as f64);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

/// In the cache: the times of `rows`, each beside that of the first.
fn in_cache(rows: &[Row], level: Level, brief: bool) -> Vec<f64> {
    let n = 1 << 14;
    let data = Data::new(n);
    println!("\n2^14 on one thread, {level}\n{:34}     ns    f32  ratio", "");
    let times = rows.iter().map(|row| {
        let [mut f32, mut step] =
            [rows[0], *row].map(|row| Step::new(row, &data, level, Parallelism::Serial));
        let rounds = if brief { (1, 1) } else { (51, 40) };
        let times = turns(n, rounds, &mut [&mut || f32.run(), &mut || step.run()]);
        println!("{:34} {:6.3} {:6.3} {:6.2}", row.name, times[1], times[0], times[1] / times[0]);
        times[1]
    });
    times.collect()
}

/// In memory, each row beside its ceiling.
fn in_memory(rows: &[Row], brief: bool) {
    let n = if brief { 1 << 16 } else { 1 << 24 };
    let data = Data::new(n);
    let (threads, level) = (rayon::current_num_threads(), Level::best());
    println!(
        "\n{n} parameters, {threads} threads, {level}; bytes a parameter that a step moves, and that are kept"
    );
    println!("{:34}     ns    f32  ratio  ceiling  ratio  moved   kept", "");
    for row in rows {
        let [mut f32, mut step] =
            [rows[0], *row].map(|row| Step::new(row, &data, level, Parallelism::default()));
        let mut ceilings = LAYOUTS.map(|layout| Ceiling::new(row, n, layout));
        let mut passes = ceilings.each_mut().map(|ceiling| move || ceiling.pass());
        let (mut plain, mut own) = (|| f32.run(), || step.run());
        let mut timed: Vec<&mut dyn FnMut()> = vec![&mut plain, &mut own];
        timed.extend(passes.iter_mut().map(|pass| -> &mut dyn FnMut() { pass }));
        let times = turns(n, (if brief { 1 } else { 31 }, 1), &mut timed);
        let (ceiling, ratio) =
            (times[2..].iter().copied().fold(f64::INFINITY, f64::min), times[1] / times[0]);
        print!("{:34} {:6.3} {:6.3} {ratio:6.2}", row.name, times[1], times[0]);
        let (moved, kept) = (row.moved(), row.kept());
        println!("   {ceiling:6.3} {:6.2} {moved:6.2} {kept:6.2}", times[1] / ceiling);
    }
}

/// One thread that has the memory to itself, and one that shares it with a stream on each other core: what is measured beside
/// what the model makes of its time in the cache and of the memory's speed.
fn shares(rows: &[Row], in_cache: &[f64], brief: bool) {
    let n = if brief { 1 << 16 } else { 1 << 24 };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (data, level) = (Data::new(n), Level::best());
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    println!("\n{n} parameters on one thread: measured, and by the model");
    println!("{:34} {:^24} {:^24}", "streams beside it", 0, cores - 1);
    let (stop, begun) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let mut figures = vec![vec![]; rows.len()];
    for others in [0, cores - 1] {
        thread::scope(|scope| {
            let _stop = Stop(stop);
            for _ in 0..others {
                scope.spawn(move || {
                    let mut stream = Ceiling::new(&Row::ALL[0], n, LAYOUTS[1]);
                    begun.fetch_add(1, Relaxed);
                    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
                    one.install(|| {
                        while !stop.load(Relaxed) {
                            stream.pass();
                        }
                    });
                });
            }
            while begun.load(Relaxed) < others {
                thread::yield_now();
            }
            for ((row, cached), figures) in rows.iter().zip(in_cache).zip(&mut figures) {
                let mut step = Step::new(*row, &data, level, Parallelism::Serial);
                let mut ceilings = LAYOUTS.map(|layout| Ceiling::new(&rows[0], n, layout));
                let mut passes = ceilings.each_mut().map(|ceiling| || one.install(|| ceiling.pass()));
                let mut run = || step.run();
                let mut timed: Vec<&mut dyn FnMut()> = vec![&mut run];
                timed.extend(passes.iter_mut().map(|pass| -> &mut dyn FnMut() { pass }));
                let times = turns(n, (if brief { 1 } else { 9 }, 1), &mut timed);
                let memory = rows[0].moved() / times[1..].iter().copied().fold(f64::INFINITY, f64::min);
                figures.push((times[0], cached.max(row.on_the_bus() / memory)));
            }
        });
        stop.store(false, Relaxed);
        begun.store(0, Relaxed);
    }
    for (row, figures) in rows.iter().zip(&figures) {
        print!("{:34}", row.name);
        for (measured, model) in figures {
            print!(" {measured:6.3} {model:6.3} {:9.2} ", measured / model);
        }
        println!();
    }
}

/// Ends the streams, also where a check fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Cores, and the GB/s of all their channels: a transfer is of eight bytes.
const MACHINES: [(&str, usize, f64); 8] = [
    ("8 cores, 2 x DDR5-5600", 8, 89.6),
    ("16 cores, 2 x DDR5-5600", 16, 89.6),
    ("32 cores, 8 x DDR5-4800", 32, 307.2),
    ("64 cores, 8 x DDR4-3200", 64, 204.8),
    ("96 cores, 12 x DDR5-4800", 96, 460.8),
    ("128 cores, 12 x MRDIMM-8800", 128, 844.8),
    ("192 cores, 12 x DDR5-6400", 192, 614.4),
    ("2 x 96 cores, 24 x DDR5-4800", 192, 921.6),
];

/// What of it streams get, by the usual results of STREAM.
const ATTAINED: f64 = 0.8;

/// What the times in the cache make of machines whose cores share memory.
fn model(rows: &[Row], in_cache: &[f64]) {
    println!(
        "\nArithmetic, not measurement: ms for 10^9 parameters on cores like this one, and in brackets how many of them"
    );
    println!(
        "saturate the memory. A step takes the longer of its time in the cache over the cores, and of its bytes over"
    );
    println!(
        "{:.0} % of the GB/s of all channels; what is written is read before, lines of a mirror too.",
        100.0 * ATTAINED
    );
    for half in MACHINES.chunks(4) {
        println!("\n{:34}{}", "", half.iter().map(|(name, ..)| format!("{name:>30}")).collect::<String>());
        for (row, time) in rows.iter().zip(in_cache) {
            print!("{:34}", row.name);
            for (_, cores, peak) in half {
                let moving = row.on_the_bus() / (peak * ATTAINED);
                let ms = (time / *cores as f64).max(moving) * 1e3;
                print!("{:>30}", format!("{ms:.0} ({:.0})", (time / moving).ceil()));
            }
            println!();
        }
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let brief = args.iter().any(|arg| arg == "--test");
    let filter = args.iter().find(|arg| !arg.starts_with('-')).map_or("", |arg| arg);
    let picked = |row: &Row| row.name == "f32" || row.name.contains(filter);
    let rows: Vec<_> = Row::ALL.into_iter().filter(picked).collect();
    let mut best = vec![];
    for level in Level::available() {
        let times = in_cache(&rows, level, brief);
        if level == Level::best() {
            best = times;
        }
    }
    in_memory(&rows, brief);
    shares(&rows, &best, brief);
    model(&rows, &best);
}
