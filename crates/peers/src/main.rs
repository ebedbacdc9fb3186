//! Times AdamW as people have it beside lanestep's: see README.md.
#![deny(unsafe_code)]

mod case;
mod data;
mod disturbance;
mod measure;
mod peer;
mod picture;
mod report;
#[cfg(test)]
mod tests;
mod truth;

use anyhow::{Context, Result, ensure};
use case::{Case, cases};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use measure::{Effort, measure};
use report::Row;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");

/// Times AdamW as people have it beside lanestep's.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Fewer and smaller cases, fewer rounds: under two minutes without Python.
    #[arg(long)]
    quick: bool,
    /// PyTorch's and DeepSpeed's optimizers too.
    #[arg(long)]
    python: bool,
    /// The Python environment; it is made and filled if it does not exist.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers-venv"))]
    venv: PathBuf,
    /// Only peers whose names begin with this, or one of these, beside lanestep and the ceiling.
    #[arg(long)]
    peer: Vec<String>,
    /// Rounds for each case.
    #[arg(long)]
    rounds: Option<usize>,
    /// Only cases whose names contain one of these.
    filters: Vec<String>,
    /// Measures on so many threads, and writes what it finds as lines of JSON.
    #[arg(long, hide = true)]
    child: Option<usize>,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
enum Event {
    /// Names and versions, or why they are absent.
    Peers {
        present: Vec<(String, String)>,
        absent: Vec<(String, String)>,
    },
    Round,
    Row(Row),
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.child {
        Some(threads) => child(&args, threads, &mut |event| {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, &event)?;
            Ok(writeln!(out)?)
        }),
        None => parent(&args),
    }
}

fn effort(args: &Args, case: &Case) -> Effort {
    let rounds = match (args.quick, case.params() > 1 << 20) {
        (true, false) => 7,
        (true, true) => 3,
        (false, false) => 21,
        (false, true) => 9,
    };
    Effort {
        rounds: args.rounds.unwrap_or(rounds),
        burst: Duration::from_millis(if args.quick { 2 } else { 5 }),
    }
}

/// Measures all cases in this process, whose libraries have been told their number of threads by the environment.
fn child(args: &Args, threads: usize, say: &mut dyn FnMut(Event) -> Result<()>) -> Result<()> {
    let python = args.python.then(|| peer::python::interpreter(&args.venv));
    let (mut peers, mut present, mut absent) = (vec![], vec![], vec![]);
    let asked = |name: &str| {
        let always = name.starts_with(peer::lanestep::NAME) || name == peer::c::CEILING;
        always || args.peer.is_empty() || args.peer.iter().any(|some| name.starts_with(some.as_str()))
    };
    for (name, peer) in peer::all(threads, python.as_deref(), &asked) {
        match peer {
            Ok(peer) => {
                present.push((name.to_owned(), peer.about().version));
                peers.push(peer);
            }
            Err(why) => absent.push((name.to_owned(), format!("{why:#}"))),
        }
    }
    present.dedup();
    absent.dedup();
    say(Event::Peers { present, absent })?;
    for case in cases(args.quick, &args.filters) {
        let mut told = Ok(());
        let rows = measure(&case, &mut peers, threads, effort(args, &case), &mut || {
            if let Err(why) = say(Event::Round) {
                told = Err(why);
            }
        });
        told?;
        rows.into_iter().try_for_each(|row| say(Event::Row(row)))?;
    }
    Ok(())
}

/// A child for one thread and one for all, as many libraries read their number of threads once for a process.
fn parent(args: &Args) -> Result<()> {
    let cases = cases(args.quick, &args.filters);
    ensure!(!cases.is_empty(), "no case has such a name");
    if args.python
        && let Err(why) = peer::python::environment(&args.venv)
    {
        eprintln!("no Python: {why:#}");
    }
    let all = std::thread::available_parallelism()?.get();
    let mut counts = vec![1, all];
    counts.dedup();
    println!("{}", head(all));
    let rounds: usize = cases.iter().map(|case| effort(args, case).rounds).sum();
    let bar = ProgressBar::new((rounds * counts.len()) as u64).with_style(ProgressStyle::with_template(
        "{elapsed_precise} {wide_bar} {pos}/{len} rounds, {eta} left, {msg}",
    )?);
    std::fs::create_dir_all(TARGET)?;
    let (target, mut rows) = (PathBuf::from(TARGET), vec![]);
    for (k, threads) in counts.into_iter().enumerate() {
        let mut child = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg(format!("--child={threads}"))
            .envs(["RAYON_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name, threads.to_string())))
            .stdout(Stdio::piped())
            .spawn()?;
        bar.set_message(format!("{threads} threads"));
        for line in BufReader::new(child.stdout.take().context("a pipe")?).lines() {
            match serde_json::from_str(&line?)? {
                Event::Peers { present, absent } if k == 0 => bar.suspend(|| {
                    present.iter().for_each(|(name, version)| println!("  {name:22} {version}"));
                    absent.iter().for_each(|(name, why)| println!("  {name:22} absent: {why}"));
                }),
                Event::Peers { .. } => {}
                Event::Round => bar.inc(1),
                Event::Row(row) => {
                    bar.set_message(format!("{}, {threads} threads", row.case));
                    rows.push(row);
                    report::csv(&rows, std::fs::File::create(target.join("peers.csv"))?)?;
                }
            }
        }
        ensure!(child.wait()?.success(), "the measuring process failed");
    }
    bar.finish_and_clear();
    picture::draw(&rows, &target.join("peers.svg"))?;
    println!("\nns a parameter: median [min .. max over rounds], as times of lanestep's median");
    println!("{}\n{}", report::table(&rows), report::verdict(&rows));
    Ok(())
}

fn head(threads: usize) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown CPU", |(_, model)| model);
    let (date, level) = (chrono::Utc::now().format("%Y-%m-%d %H:%M UTC"), lanestep::Level::best());
    format!("AdamW on {model}, {level}, {threads} threads, {date}")
}
