//! Says how fast steps are on this machine, how fast its memory is, and which of the two waits for the other.
//!
//! ```text
//! cargo run --release --example roofline
//! cargo run --release --example roofline -- --quick
//! ```
//!
//! Where nothing else runs, the first takes under two minutes, and the second, with fewer parameters and rougher figures,
//! under twenty seconds.
//!
//! A step reads parameters, gradients and state, and writes parameters and state. Its ceiling is the same streams with next to no
//! arithmetic, the best of several layouts, in turns with the step: what a step takes longer than that is arithmetic or
//! overhead. Times are medians. Bytes are counted once for each time they are read or written; GB are 10^9. All parameters
//! and gradients are from `Buffer::together`. Before it is timed, each step is checked against `lanestep::reference`, that of a layerwise rule in the cache.
//!
//! On a machine with several NUMA nodes, the numbers lie on the node of the thread that made them. There,
//! `numactl --interleave=all cargo run ...` is what a machine can do as a whole.
//!
//! Prints tables that fit an issue, and draws them to `target/roofline.svg`.

mod bandwidth;
#[path = "../../benches/step/ceiling.rs"]
mod ceiling;
#[path = "../../benches/step/data.rs"]
#[allow(dead_code, reason = "the bench names its layouts")]
mod data;
mod draw;
mod formats;
mod growth;
mod machine;
mod measure;
#[path = "../../benches/step/parts.rs"]
mod parts;
mod rules;
#[path = "../../benches/step/widest.rs"]
mod widest;

use std::error::Error;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use machine::Machine;
use measure::{Bench, MEMORY, Row};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => {
            eprintln!("usage: cargo run --release --example roofline -- [--quick]");
            return Ok(ExitCode::from(2));
        }
    };
    let machine = Machine::look();
    println!("{machine}");
    let bench = Bench::new(&machine, quick)?;
    bandwidth::measure(&bench)?.print();
    let rules = rules::measure(&bench)?;
    print_table("rule", &rules, &bench);
    let formats = formats::measure(&bench)?;
    print_table("AdamW, kept as", &formats, &bench);
    growth::measure(&bench, &machine, quick)?;
    draw::roofline(&rules, &formats, &bench)?;
    println!("\nBytes and times: {}", draw::SVG);
    Ok(ExitCode::SUCCESS)
}

fn progress(what: &'static str, len: usize) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:12} {bar:40} {pos}/{len} {msg}")?;
    Ok(ProgressBar::new(len as u64).with_style(style).with_prefix(what))
}

fn print_table(what: &str, rows: &[Row], bench: &Bench) {
    println!("\n{:22} {:>5}{}", "", "bytes", bench.settings().map(|name| format!("{name:>17}")).concat());
    println!("{what:22} {:>5}{}", "moved", "     ns  GB/s   %".repeat(3));
    for row in rows {
        print!("{:22} {:5.1}", row.name, row.bytes);
        for timing in row.timings {
            print!(" {:6.3} {:5.1} {:3.0}", timing.step, row.bytes / timing.step, 100.0 * timing.share());
        }
        println!("  {}", row.verdict(bench.threads()));
    }
    let bound = rows.iter().filter(|row| row.is_memory_bound()).count();
    println!(
        "%: of the bare streams, the best of six layouts. Some steps pass them: arithmetic in between can do a memory"
    );
    println!("good, and there is noise. The verdict is that of all threads:");
    println!(
        "{bound} of {} are memory bound, at {:.0} % or more of the ceiling.",
        rows.len(),
        100.0 * MEMORY
    );
}
