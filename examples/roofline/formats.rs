//! AdamW with its numbers kept in several ways. The ways, their steps and their ceilings are those of the bench of formats.

#[path = "../../benches/formats/ceiling.rs"]
mod ceiling;
#[path = "../../benches/formats/row.rs"]
#[allow(dead_code, reason = "the bench also counts what is kept")]
mod row;
#[path = "../../benches/formats/step.rs"]
mod step;

use crate::measure::{Bench, IN_L2, Row, Run, Timing, turns};
use crate::{Result, progress, widest};
use ceiling::{Ceiling, LAYOUTS};
use lanestep::{Level, Parallelism};
use rayon::ThreadPool;
use step::{Data, Step};

const NAMES: [&str; 8] = [
    "f32",
    "bf16 mirror",
    "split masters",
    "bf16 state",
    "bf16 state, stochastic",
    "f16 state",
    "8-bit state",
    "bf16 throughout",
];

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let bar = progress("formats", NAMES.len())?;
    let [small, large] = [IN_L2, bench.in_dram].map(Data::new);
    let mut rows = Vec::new();
    for name in NAMES {
        bar.set_message(name);
        let row = row::Row::ALL.into_iter().find(|row| row.name == name).ok_or(name)?;
        rows.push(Row { name, bytes: row.moved(), timings: time(&row, bench, &small, &large) });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

fn time(row: &row::Row, bench: &Bench, small: &Data, large: &Data) -> [Timing; 3] {
    let ready = |n: usize, data: &Data| {
        let step = Step::new(*row, data, Level::best(), Parallelism::default());
        (n, step, LAYOUTS.map(|layout| Ceiling::new(row, n, layout)))
    };
    let (mut in_l2, mut in_dram) = (ready(IN_L2, small), ready(bench.in_dram, large));
    let turns = |pool: &ThreadPool, (n, step, ceilings): &mut (usize, Step, [Ceiling; LAYOUTS.len()])| {
        let mut runs: Vec<Run<'_>> = vec![Box::new(|| step.run())];
        runs.extend(ceilings.iter_mut().map(|ceiling| -> Run<'_> { Box::new(|| ceiling.pass()) }));
        Timing::of(&turns(pool, *n, bench.effort(*n), runs))
    };
    let all = turns(&bench.all, &mut in_dram);
    [turns(&bench.one, &mut in_l2), turns(&bench.one, &mut in_dram), all]
}
