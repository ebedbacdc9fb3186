//! The life of a rank.

use mpi::Threading;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use std::fmt::Display;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::thread;

/// What a job ends with whose body has failed, and one that has panicked.
const FAILED: i32 = 1;
const PANICKED: i32 = 101;

/// Runs the body of a rank between the begin and the end of MPI, and sees to it that none waits for a rank that has failed: an
/// error, or a panic of this thread, is written to stderr with the rank's number and ends the whole job, not with 0. A panic of
/// another thread does where it reaches this one, as it does from rayon. What the body owns is dropped before an error is: its drop must not wait
/// for other ranks.
///
/// ```no_run
/// use lanestep::{AdamW, Pipeline};
/// use lanestep_mpi::{Error, Sharded, run};
///
/// run(|world| -> Result<(), Error> {
///     let mut params = vec![1.0_f32; 1000];
///     let mut sharded = Sharded::new(world, AdamW::default(), params.len(), 8)?;
///     for batch in sharded.micro_batches() {
///         sharded.grads(batch)?.fill(0.5); // by your backward pass
///     }
///     sharded.step(&mut params, &Pipeline::default())?;
///     Ok(())
/// });
/// ```
///
/// # Panics
/// If MPI has been initialized before, or allows no threads beside the one that calls it.
pub fn run<E: Display>(body: impl FnOnce(&SimpleCommunicator) -> Result<(), E>) {
    let (_universe, threading) =
        mpi::initialize_with_threading(Threading::Funneled).expect("MPI is not initialized yet");
    assert!(threading >= Threading::Funneled, "this MPI allows no threads");
    let world = SimpleCommunicator::world();
    let (rank, main) = (world.rank(), thread::current().id());
    let hook = take_hook();
    set_hook(Box::new(move |info| {
        eprintln!("rank {rank}:");
        hook(info);
        // Before it unwinds, as what is dropped on the way may wait for other ranks.
        if thread::current().id() == main {
            SimpleCommunicator::world().abort(PANICKED);
        }
    }));
    match catch_unwind(AssertUnwindSafe(|| body(&world))) {
        Ok(Ok(())) => (),
        Ok(Err(error)) => {
            // At once, as all ranks write to one place.
            let _ = stderr().write_all(format!("rank {rank}: {error}\n").as_bytes());
            world.abort(FAILED);
        }
        Err(_) => world.abort(PANICKED),
    }
}
