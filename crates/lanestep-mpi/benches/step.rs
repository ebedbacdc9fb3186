//! A sharded step beside the same of MPI's own collectives: `MPI_Reduce_scatter_block`, AdamW over this rank's part, `MPI_Allgather`.
//!
//! `cargo bench -p lanestep-mpi` starts itself on one rank and on two, over 2^24 parameters each: half a minute, and 700 MB. Both are timed in
//! turns; times are medians of the slowest rank, with the least and the largest ratio of a turn in parentheses. Once, the results are
//! compared: with a micro-batch a rank and two ranks at most, there is but one order of sums.

use lanestep::{AdamW, Optimizer, Pipeline};
use lanestep_mpi::{Sharded, run};
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use std::env;
use std::process::{Command, exit};
use std::time::Instant;

/// Says to a rank how many parameters there are.
const LEN: &str = "LANESTEP_MPI_BENCH";

fn main() {
    if let Ok(len) = env::var(LEN) {
        let len = len.parse().expect("a number");
        return run(|world| {
            bench(world, len);
            Ok::<_, String>(())
        });
    }
    if Command::new("mpirun").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no mpirun");
    }
    // Without the argument that `cargo bench` gives, it is a test.
    let len = if env::args().any(|arg| arg == "--bench") { 1 << 24 } else { 1 << 16 };
    for ranks in ["1", "2"] {
        let status = Command::new("mpirun")
            .args(["--oversubscribe", "-np", ranks])
            .arg(env::current_exe().expect("this bench"))
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_mpi_yield_when_idle", "1")
            .env("RAYON_NUM_THREADS", "1")
            .env(LEN, len.to_string())
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
        shardeds.push(clock.seconds());
    }
    let same = params.iter().zip(&plain).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same, "the sharded step has other bits");

    // The slowest rank's.
    let slowest = |times: Vec<f64>| {
        let mut all = vec![0.0; times.len()];
        world.all_reduce_into(&times[..], &mut all[..], SystemOperation::max());
        all
    };
    let plains = slowest(plains.into_iter().flatten().collect());
    let (plains, _) = plains.as_chunks::<4>();
    let shardeds = slowest(shardeds);
    if rank == 0 {
        let ms = |seconds: f64| seconds * 1e3;
        let of = |k: usize| ms(median(plains.iter().map(|plain| plain[k]).collect()));
        println!("{len} parameters on {ranks} ranks");
        println!("  Reduce_scatter_block {:6.1} ms, step {:.1} ms, Allgather {:.1} ms", of(1), of(2), of(3));
        println!("  together             {:6.1} ms", of(0));
        println!("  Sharded::step        {:6.1} ms", ms(median(shardeds.clone())));
        let mut ratios: Vec<f64> = shardeds.iter().zip(plains).map(|(ours, plain)| ours / plain[0]).collect();
        ratios.sort_by(f64::total_cmp);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!("  ratio                {:6.2} ({least:.2} to {most:.2})", median(ratios));
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
