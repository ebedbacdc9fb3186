//! One optimizer in a lock, stepped by many jobs of a pool.

use lanestep::{Optimizer, Parallelism, Sgd};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Over rayon it may stall, as its documentation says: a job that waits for its share takes up one that wants the lock.
#[test]
fn a_serial_step_waits_for_nobody() {
    const ROUNDS: usize = 10_000;
    const JOBS: usize = 3;
    const LEN: usize = 2000;
    let mut optimizer = Optimizer::new(Sgd { lr: 1.0, ..Sgd::default() }, LEN).unwrap();
    optimizer.set_parallelism(Parallelism::Serial);
    let shared = Arc::new(Mutex::new((optimizer, vec![0.0_f32; LEN])));
    let (done, finished) = channel();
    let jobs = Arc::clone(&shared);
    std::thread::spawn(move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let grads = vec![1.0; LEN];
        for _ in 0..ROUNDS {
            pool.scope(|scope| {
                for _ in 0..JOBS {
                    scope.spawn(|_| {
                        let (optimizer, params) = &mut *jobs.lock().unwrap();
                        optimizer.step(params, &grads).unwrap();
                    });
                }
            });
        }
        done.send(()).unwrap();
    });
    // Only so that a stall is a failure and not a silence.
    assert_ne!(finished.recv_timeout(Duration::from_secs(120)), Err(RecvTimeoutError::Timeout), "stalled");
    let (optimizer, params) = &*shared.lock().unwrap();
    assert_eq!(optimizer.steps(), (JOBS * ROUNDS) as u64);
    assert!(params.iter().all(|&p| p == -((JOBS * ROUNDS) as f32)));
}
