//! What it takes to save an optimizer and to load it, beside a copy of its file.
//!
//! `cargo bench --bench checkpoint` takes a minute, 3 GiB of memory and 4 of disk, in `target` beside the manifest; with the
//! filter `64` a few seconds. The optimizer is AdamW, and its file nothing but state. All of a size is timed in turns:
//!
//! - `save`, beside a copy of the file, and beside writing its bytes from memory. All three replace a file of that size, and
//!   end with fsync.
//! - `load`, which makes an optimizer, beside that copy, and beside reading the file into new memory. The file has just been
//!   written, so it is read from the page cache, and not from the disk.
//!
//! Ratios are of medians; in parentheses are the least and the largest of a round. Once, what is loaded is compared bit for bit.

use lanestep::{AdamW, Optimizer};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");

/// An optimizer with so many bytes of state, in which no two neighbours are alike.
fn optimizer(bytes: usize) -> Optimizer<AdamW> {
    let rng = &mut fastrand::Rng::with_seed(bytes as u64);
    let mut optimizer = Optimizer::new(AdamW::default(), bytes / 8).expect("memory");
    for name in ["exp_avg", "exp_avg_sq"] {
        let numbers: Vec<f32> = (0..bytes / 8).map(|_| rng.f32() + 0.5).collect();
        optimizer.set_state(name, &numbers).expect("positive numbers");
    }
    optimizer.set_steps(1);
    optimizer
}

fn bits(optimizer: &Optimizer<AdamW>) -> impl Iterator<Item = u32> {
    optimizer.state_names().filter_map(|name| optimizer.state(name)).flatten().map(|x| x.to_bits())
}

/// What is made is not dropped before the time is taken.
fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = work();
    times.push(start.elapsed().as_secs_f64());
    made
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn size(name: &str, bytes: usize, rounds: usize) {
    let [saved, written, copied] =
        ["saved", "written", "copied"].map(|what| Path::new(TARGET).join(format!("bench-checkpoint-{what}")));
    let optimizer = optimizer(bytes);
    let [mut save, mut load, mut read, mut write, mut copy] = [const { vec![] }; 5];
    // The first round does not count: files and memory are new to the machine.
    for round in 0..=rounds {
        timed(&mut save, || optimizer.save(&saved).expect("room on the disk"));
        let loaded = timed(&mut load, || Optimizer::load(&saved, bytes / 8).expect("what was saved"));
        let memory = timed(&mut read, || fs::read(&saved).expect("a file"));
        timed(&mut write, || {
            let mut file = File::create(&written).expect("a folder");
            file.write_all(&memory).and_then(|()| file.sync_all()).expect("room on the disk");
        });
        timed(&mut copy, || {
            fs::copy(&saved, &copied).expect("room on the disk");
            // For Windows, which syncs only what can be written.
            File::options().write(true).open(&copied).and_then(|file| file.sync_all()).expect("a disk");
        });
        if round == 0 {
            assert!(bits(&loaded).eq(bits(&optimizer)), "other bits than were saved");
            [&mut save, &mut load, &mut read, &mut write, &mut copy].into_iter().for_each(Vec::clear);
        }
    }
    [saved, written, copied].iter().for_each(|path| fs::remove_file(path).expect("a file"));
    if rounds == 0 {
        return;
    }
    let speed = |times: &[f64]| bytes as f64 / 1e9 / median(times);
    for (own, times, other, others) in [
        ("save", &save, "copy", &copy),
        ("save", &save, "write", &write),
        ("load", &load, "copy", &copy),
        ("load", &load, "read", &read),
    ] {
        let ratio = median(times) / median(others);
        let mut ratios: Vec<_> = times.iter().zip(others).map(|(own, other)| own / other).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, largest) = (ratios[0], ratios[rounds - 1]);
        let (speed, theirs) = (speed(times), speed(others));
        println!(
            "{name} {own}: {ratio:.2} x {other} ({least:.2} to {largest:.2}); {speed:.2} GB/s, {other} {theirs:.2}"
        );
    }
}

fn main() {
    fs::create_dir_all(TARGET).expect("a folder");
    let args: Vec<_> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--test") {
        return size("test", 5 << 20, 0);
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-'));
    for (name, bytes, rounds) in [("64 MiB", 64 << 20, 21), ("1 GiB", 1 << 30, 9)] {
        if filter.is_none_or(|filter| name.contains(filter)) {
            size(name, bytes, rounds);
        }
    }
}
