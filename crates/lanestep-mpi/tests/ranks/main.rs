//! What ranks do together, under `mpirun`, which this starts itself.
//!
//! An argument that is no flag runs those cases alone whose name has it.

mod bits;
mod faults;
mod model;
mod refused;
mod saved;

use mpi::topology::SimpleCommunicator;
use std::path::Path;
use std::process::{self, Command, Output, exit};
use std::{env, fs};

/// Says to a rank which case it is to run.
const CASE: &str = "LANESTEP_MPI_CASE";

/// What a rank does.
type Body = fn(&SimpleCommunicator) -> Result<(), String>;

struct Case {
    name: &'static str,
    ranks: &'static [usize],
    body: Body,
    /// What must be written to stderr, and that the job must fail.
    fails: &'static [&'static str],
}

const MANY: &[usize] = &[1, 2, 3, 4, 5, 8];

const CASES: &[Case] = &[
    Case { name: "lengths", ranks: MANY, body: bits::lengths, fails: &[] },
    Case { name: "rules", ranks: MANY, body: bits::rules, fails: &[] },
    Case { name: "layers", ranks: MANY, body: bits::layers, fails: &[] },
    Case { name: "refused", ranks: &[2, 3], body: refused::all, fails: &[] },
    Case { name: "memory", ranks: &[4], body: bits::memory, fails: &[] },
    Case { name: "panic", ranks: &[2, 4], body: faults::panic, fails: &["rank 1:", "rank 1 falls"] },
    Case {
        name: "rule",
        ranks: &[3],
        body: faults::panic_in_rule,
        fails: &["rank 1:", "a rule falls on rank 1"],
    },
    Case { name: "error", ranks: &[3], body: faults::error, fails: &["rank 2: there is no data"] },
    Case { name: "killed", ranks: &[2], body: faults::killed, fails: &["mpirun"] },
    // Each job goes on from what the one before has left.
    Case { name: "handed on", ranks: &[4, 3, 1, 8], body: saved::handed_on, fails: &[] },
    Case { name: "run killed", ranks: &[3], body: saved::killed, fails: &["mpirun"] },
    Case { name: "run resumed", ranks: &[2, 1, 5], body: saved::resumed, fails: &[] },
    Case { name: "named", ranks: &[1, 3], body: saved::named, fails: &[] },
    Case { name: "not saved", ranks: &[2, 3], body: saved::refused, fails: &[] },
];

fn main() {
    if let Ok(name) = env::var(CASE) {
        let case = CASES.iter().find(|case| case.name == name).expect("a case");
        return lanestep_mpi::run(case.body);
    }
    let wanted: Vec<_> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if Command::new("mpirun").arg("--version").output().is_err() {
        return println!("SKIPPED: all of {}, as there is no mpirun", env!("CARGO_CRATE_NAME"));
    }
    let chosen = |case: &&Case| wanted.is_empty() || wanted.iter().any(|name| case.name.contains(name));
    assert!(CASES.iter().any(|case| chosen(&case)), "no case is named like {wanted:?}");
    let folder = env::temp_dir().join(format!("lanestep-mpi-{}", process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let mut failed = false;
    for case in CASES.iter().filter(chosen) {
        for ranks in case.ranks {
            let Output { status, stdout, stderr } = job(case.name, *ranks, &folder);
            let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
            let said = case.fails.iter().all(|text| err.contains(text));
            let ok = status.success() == case.fails.is_empty() && said && !err.contains("timed out");
            failed |= !ok;
            println!("{} on {ranks}: {}", case.name, if ok { "ok" } else { "FAILED" });
            if !ok {
                println!("{status}\n{out}\n{err}");
            }
        }
    }
    fs::remove_dir_all(folder).expect("the folder");
    exit(i32::from(failed));
}

fn job(case: &str, ranks: usize, folder: &Path) -> Output {
    Command::new("mpirun")
        .args(["--oversubscribe", "--timeout", "300", "-np", &ranks.to_string()])
        .arg(env::current_exe().expect("this test"))
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_mpi_yield_when_idle", "1")
        .env("RAYON_NUM_THREADS", "2")
        .env("RUST_BACKTRACE", "0")
        .env(CASE, case)
        .env(saved::FOLDER, folder)
        .output()
        .expect("mpirun")
}
