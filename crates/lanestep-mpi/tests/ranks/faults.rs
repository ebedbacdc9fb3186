//! A rank that falls ends the job, and says so.

use lanestep::checkpoint::Recorded;
use lanestep::rule::Shared;
use lanestep::{Pipeline, Rule, Tiger, WithFormula};
use lanestep_mpi::Sharded;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use std::time::Duration;
use std::{process, thread};

/// Steps until the rank's `fall` says no.
fn steps(
    world: &SimpleCommunicator,
    rule: Falling,
    mut fall: impl FnMut(usize) -> Result<(), String>,
) -> Result<(), String> {
    let len = 1 << 17;
    let mut params = vec![0.0_f32; len];
    let mut sharded = Sharded::new(world, rule, len, 4).map_err(|error| error.to_string())?;
    for step in 0..100 {
        fall(step)?;
        for batch in sharded.micro_batches() {
            sharded.grads(batch).map_err(|error| error.to_string())?.fill(0.5);
        }
        sharded.step(&mut params, &Pipeline::default()).map_err(|error| error.to_string())?;
    }
    thread::sleep(Duration::from_secs(60));
    Ok(())
}

pub(crate) fn panic(world: &SimpleCommunicator) -> Result<(), String> {
    let one = world.rank() == 1;
    steps(world, Falling { here: false }, |step| {
        assert!(!(one && step == 3), "rank 1 falls");
        Ok(())
    })
}

pub(crate) fn error(world: &SimpleCommunicator) -> Result<(), String> {
    let two = world.rank() == 2;
    let fall = |step| if two && step == 3 { Err("there is no data".to_owned()) } else { Ok(()) };
    steps(world, Falling { here: false }, fall)
}

pub(crate) fn killed(world: &SimpleCommunicator) -> Result<(), String> {
    let one = world.rank() == 1;
    steps(world, Falling { here: false }, |step| {
        if one && step == 3 {
            process::abort();
        }
        Ok(())
    })
}

/// Falls in its third step, also on threads of a pool, where it is asked to.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Falling {
    #[serde(skip)]
    here: bool,
}

impl Rule for Falling {
    fn slots(&self) -> &'static [&'static str] {
        Tiger::default().slots()
    }

    fn check(&self) -> Result<(), lanestep::Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(0.1)
    }

    fn set_lr(&mut self, _: f64) {}

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        assert!(!(self.here && t == 3), "a rule falls on rank 1");
        Tiger::default().at(t, with)
    }
}

impl Recorded for Falling {
    const NAME: Option<&'static str> = Some("Falling");
}

pub(crate) fn panic_in_rule(world: &SimpleCommunicator) -> Result<(), String> {
    steps(world, Falling { here: world.rank() == 1 }, |_| Ok(()))
}
