//! The bits of one process on any number of ranks, under `mpirun`, which this starts itself.

use lanestep::{AdamW, Optimizer, Pipeline};
use lanestep_mpi::{Sharded, run};
use mpi::traits::Communicator;
use std::process::Command;

const CASE: &str = "LANESTEP_MPI_CASE";

fn main() {
    if std::env::var(CASE).is_ok() {
        return run(same);
    }
    if Command::new("mpirun").arg("--version").output().is_err() {
        return println!("SKIPPED: there is no mpirun");
    }
    for ranks in [1, 2, 3, 4, 5, 8] {
        let me = std::env::current_exe().expect("this test");
        let status = Command::new("mpirun")
            .args(["--oversubscribe", "--timeout", "60", "-np", &ranks.to_string()])
            .arg(me)
            .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
            .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
            .env("OMPI_MCA_mpi_yield_when_idle", "1")
            .env("RAYON_NUM_THREADS", "1")
            .env(CASE, "same")
            .status()
            .expect("mpirun");
        assert!(status.success(), "{ranks} ranks: {status}");
        println!("{ranks} ranks: ok");
    }
}

fn gradient(params: &[f32], step: usize, batch: usize) -> Vec<f32> {
    let grad = |(i, p): (usize, &f32)| {
        let hash = (i.wrapping_mul(2_654_435_761) ^ (batch * 40_503 + step * 97)) % 1009;
        p * (hash as f32 * 1e-3) + 1e-3
    };
    params.iter().enumerate().map(grad).collect()
}

/// The sum of the micro-batches in a subtree, from its definition.
fn sum(first: usize, width: usize, batches: usize, leaf: &dyn Fn(usize) -> Vec<f32>) -> Vec<f32> {
    if width == 1 {
        return leaf(first);
    }
    let half = width / 2;
    let left = sum(first, half, batches, leaf);
    if first + half >= batches {
        return left;
    }
    let right = sum(first + half, half, batches, leaf);
    left.iter().zip(&right).map(|(left, right)| left + right).collect()
}

fn same(world: &mpi::topology::SimpleCommunicator) -> Result<(), String> {
    for len in [0, 5, 5 * (1 << 14) + 777] {
        for batches in [1, 2, 5, 8] {
            let mut params: Vec<f32> = (0..len).map(|i| (i % 1013) as f32 * 1e-3 - 0.5).collect();
            let mut expected = params.clone();
            let rule = AdamW { lr: 1e-2, ..AdamW::default() };
            let mut optimizer = Optimizer::new(rule, len).unwrap();
            let mut sharded = Sharded::new(world, rule, len, batches).map_err(|e| e.to_string())?;
            sharded.set_bucket(1).unwrap();
            for step in 0..3 {
                let grads =
                    sum(0, batches.next_power_of_two(), batches, &|batch| gradient(&expected, step, batch));
                optimizer.step(&mut expected, &grads).unwrap();
                for batch in sharded.micro_batches() {
                    let grads = sharded.grads(batch).map_err(|e| e.to_string())?;
                    grads.copy_from_slice(&gradient(&params, step, batch));
                }
                sharded.step(&mut params, &Pipeline::default()).map_err(|e| e.to_string())?;
                let differs = params.iter().zip(&expected).position(|(a, b)| a.to_bits() != b.to_bits());
                if let Some(place) = differs {
                    return Err(format!("{len} parameters, {batches} batches, step {step}: at {place}"));
                }
            }
        }
    }
    let _ = world.rank();
    Ok(())
}
