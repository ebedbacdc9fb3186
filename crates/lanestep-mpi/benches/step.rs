//! A sharded step beside the same of MPI's own collectives: `MPI_Reduce_scatter_block`, AdamW over this rank's part, `MPI_Allgather`.
//!
//! `cargo bench -p lanestep-mpi` starts itself on one rank and on two, over 2^24 parameters each, and on up to four to look how much memory they
//! take: half a minute, and 700 MB. Both are timed in
//! turns; times are medians of the slowest rank, with the least and the largest ratio of a turn in parentheses. Once, the results are
//! compared: with a micro-batch a rank and two ranks at most, there is but one order of sums.

use lanestep::{AdamW, Optimizer, Pipeline};
use lanestep_mpi::{Sharded, Times, run};
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use std::env;
use std::process::{Command, exit};
use std::time::Instant;

/// Says to a rank how many parameters there are, to be timed or to be held.
const LEN: &str = "LANESTEP_MPI_BENCH";
const HELD: &str = "LANESTEP_MPI_BENCH_HELD";

fn main() {
    for (name, body) in [(LEN, bench as fn(&SimpleCommunicator, usize)), (HELD, hold)] {
        if let Ok(len) = env::var(name) {
            let len = len.parse().expect("a number");
            return run(|world| {
                body(world, len);
                Ok::<_, String>(())
            });
        }
    }
    if Command::new("mpirun").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no mpirun");
    }
    // Without the argument that `cargo bench` gives, it is a test.
    let len = if env::args().any(|arg| arg == "--bench") { 1 << 24 } else { 1 << 16 };
    for (ranks, what) in [("1", LEN), ("2", LEN), ("1", HELD), ("2", HELD), ("4", HELD)] {
        let status = Command::new("mpirun")
            .args(["--oversubscribe", "-np", ranks])
            .arg(env::current_exe().expect("this bench"))
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_mpi_yield_when_idle", "1")
            .env("RAYON_NUM_THREADS", "1")
            .env(what, len.to_string())
            .status()
            .expect("mpirun");
        if !status.success() {
            exit(1);
        }
    }
}

fn bench(world: &SimpleCommunicator, len: usize) {
    let (rank, ranks) = (world.rank() as usize, world.size() as usize);
    let turns = if len < 1 << 20 { 2 } else { 15 };
    let rule = AdamW::default();
    let grads: Vec<f32> = (0..len).map(|i| ((i * 31 + rank * 17) % 1009) as f32 * 1e-3 - 0.5).collect();
    let start: Vec<f32> = (0..len).map(|i| (i % 1013) as f32 * 1e-3).collect();

    let part = len / ranks;
    let (mut plain, mut own, mut mean) =
        (start.clone(), start[rank * part..][..part].to_vec(), vec![0.0; part]);
    let mut optimizer = Optimizer::new(rule, part).expect("memory");
    let (mut params, mut sharded) = (start, Sharded::new(world, rule, len, ranks).expect("alike on all"));

    let (mut plains, mut shardeds) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        sharded.grads(rank).expect("its micro-batch").copy_from_slice(&grads);
        let clock = Clock::start(world);
        world.reduce_scatter_block_into(&grads[..], &mut mean[..], SystemOperation::sum());
        let exchanged = clock.seconds();
        optimizer.step(&mut own, &mean).expect("its part");
        let stepped = clock.seconds();
        world.all_gather_into(&own[..], &mut plain[..]);
        let gathered = clock.seconds();
        plains.push([gathered, exchanged, stepped - exchanged, gathered - stepped]);

        let clock = Clock::start(world);
        sharded.step(&mut params, &Pipeline::default()).expect("all are alike");
        let Times { exchange, step, gather } = sharded.times();
        shardeds.push([clock.seconds(), exchange.as_secs_f64(), step.as_secs_f64(), gather.as_secs_f64()]);
    }
    let same = params.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same, "the sharded step has other bits");

    // The slowest rank's.
    let slowest = |times: Vec<f64>| {
        let mut all = vec![0.0; times.len()];
        world.all_reduce_into(&times[..], &mut all[..], SystemOperation::max());
        all
    };
    let [plains, shardeds] = [plains, shardeds].map(|times| slowest(times.into_iter().flatten().collect()));
    let [(plains, _), (shardeds, _)] = [&plains, &shardeds].map(|times| times.as_chunks::<4>());
    if rank == 0 {
        println!("{len} parameters on {ranks} ranks, ms: exchange, step, gather, and all");
        for (name, times) in [("MPI and a step", plains), ("Sharded::step", shardeds)] {
            let of = |k: usize| 1e3 * median(times.iter().map(|time| time[k]).collect());
            println!("  {name:<15}{:7.1}{:7.1}{:7.1}{:7.1}", of(1), of(2), of(3), of(0));
        }
        let mut ratios: Vec<f64> =
            shardeds.iter().zip(plains).map(|(ours, plain)| ours[0] / plain[0]).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!("  ratio{:38.2} ({least:.2} to {most:.2})", median(ratios));
    }
}

/// Says how much memory a rank takes, on Linux.
fn hold(world: &SimpleCommunicator, len: usize) {
    let peak = || -> Option<f64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        kib.trim().strip_suffix(" kB")?.parse().ok()
    };
    let before = peak();
    let (rank, ranks) = (world.rank() as usize, world.size() as usize);
    let mut sharded = Sharded::new(world, AdamW::default(), len, ranks).expect("alike on all");
    let mut params = vec![0.5_f32; len];
    for _ in 0..2 {
        sharded.grads(rank).expect("its micro-batch").fill(0.5);
        sharded.step(&mut params, &Pipeline::default()).expect("all are alike");
    }
    if let (0, Some((before, after))) = (rank, before.zip(peak())) {
        let bytes = (after - before) * 1024.0 / len as f64;
        println!("{len} parameters on {ranks} ranks, bytes each on one: {bytes:.1}");
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Begins on all ranks at once.
struct Clock(Instant);

impl Clock {
    fn start(world: &SimpleCommunicator) -> Self {
        world.barrier();
        Self(Instant::now())
    }

    fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
