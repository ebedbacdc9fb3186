//! What the formats of parameters, gradients and state cost, and what they save.
//!
//! `cargo bench --features half --bench formats` takes two minutes and 2 GB; behind `--`, a part of a name picks rows. Each row
//! is AdamW, checked against `lanestep::reference` before it is timed, and in turns with another step that has `f32` throughout.
//! Times are medians in ns a parameter, and ratios are to those of what is beside them. That of `f32` to `f32` shows the noise.
//!
//! At 2^14 on one thread, all is in the cache, and arithmetic is what counts. At 2^24 on all threads memory is. There, beside
//! each row is the ceiling of its own streams: the same bytes, read and written with next to no arithmetic, the best of several
//! layouts, and in the same turns. The last part is no measurement, but what the first says of machines with more cores.

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

/// What the times in the cache make of machines whose cores share memory.
fn model(rows: &[Row], in_cache: &[f64]) {
    const CORES: [usize; 4] = [8, 16, 32, 64];
    println!(
        "\nArithmetic, not measurement: the step on more cores like this one, that share some GB/s. It takes the longer"
    );
    println!(
        "of its time in the cache over the cores, and its bytes over the GB/s; what is written is read before, lines of a"
    );
    println!(
        "mirror too. Neither waits for the other, so a step is no faster than this. As times of that with f32:"
    );
    println!("{:34}  300 GB/s{:20}400 GB/s", "cores", "");
    println!(
        "{:34} {}",
        "",
        [CORES; 2].as_flattened().iter().map(|cores| format!("{cores:6} ")).collect::<String>()
    );
    for (row, time) in rows.iter().zip(in_cache) {
        print!("{:34} ", row.name);
        for bandwidth in [300.0, 400.0] {
            for cores in CORES {
                let on = |row: &Row, time: f64| (time / cores as f64).max(row.on_the_bus() / bandwidth);
                print!("{:6.2} ", on(row, *time) / on(&rows[0], in_cache[0]));
            }
        }
        println!();
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
    model(&rows, &best);
}
