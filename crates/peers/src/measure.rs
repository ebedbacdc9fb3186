//! Rounds: in each, every peer in a new order, with a new optimizer over new memory.

use crate::case::{Case, Work};
use crate::data::Numbers;
use crate::disturbance::Ticks;
use crate::peer::{About, Peer, c, takes_part};
use crate::report::{Outcome, Row};
use crate::truth::{check, truth};
use anyhow::{Context, Result};
use std::thread::sleep;
use std::time::Duration;

/// Steps before a peer is checked, each with other gradients.
const CHECKED: u64 = 3;

/// Steps with gradients of zeros before such are timed.
const ZEROS: usize = 2000;

/// From here on, steps are timed one by one.
const LONG: Duration = Duration::from_micros(500);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// What a peer's steps take in a round, at least.
    pub(crate) burst: Duration,
}

/// A row for each peer that takes part. `at_round` is told of each round that counts.
pub(crate) fn measure(
    case: &Case,
    peers: &mut [Box<dyn Peer>],
    threads: usize,
    effort: Effort,
    at_round: &mut dyn FnMut(),
) -> Vec<Row> {
    let mut entries: Vec<Entry<'_>> = peers
        .iter_mut()
        .map(|peer| Entry { about: peer.about(), peer: &mut **peer, times: vec![], wrong: None })
        .filter(|entry| takes_part(&entry.about, case))
        .collect();
    let workers: Vec<u32> = entries.iter().filter_map(|entry| entry.peer.pid()).collect();
    let numbers = Numbers::draw(&case.lens);
    let truth = truth(case, &numbers, CHECKED);
    let (mut shares, mut repeated, mut order) = (vec![], 0, (0..entries.len()).collect::<Vec<_>>());
    while shares.len() < effort.rounds {
        fastrand::shuffle(&mut order);
        let before = Ticks::now(&workers);
        let mut times = vec![];
        for &i in &order {
            let entry = &mut entries[i];
            if entry.wrong.is_none() && !entry.is_known(case.params()) {
                match turn(entry, case, &numbers, &truth, effort.burst) {
                    Ok(time) => times.push((i, time * 1e9 / case.params() as f64)),
                    Err(why) => entry.wrong = Some(format!("{why:#}")),
                }
            }
        }
        let others = before.and_then(|before| Some(Ticks::now(&workers)?.others_since(before)));
        let disturbed = others.is_some_and(|(_, disturbed)| disturbed);
        if disturbed && repeated < effort.rounds {
            repeated += 1;
            continue;
        }
        shares.push(others.map(|(share, _)| share));
        times.into_iter().for_each(|(i, time)| entries[i].times.push(time));
        at_round();
    }
    let others: Option<f64> = shares.iter().copied().sum();
    let others = others.map(|sum| sum / shares.len().max(1) as f64);
    let row = |Entry { about, times, wrong, .. }: Entry<'_>| Row {
        case: case.name.clone(),
        params: case.params(),
        threads,
        peer: about.name.to_owned(),
        format: about.format,
        outcome: wrong.map_or(Outcome::Timed(times), Outcome::Wrong),
        others,
        repeated,
    };
    best_ceiling(entries.into_iter().map(row).collect())
}

/// A peer in a case.
struct Entry<'a> {
    about: About,
    peer: &'a mut dyn Peer,
    /// In ns a parameter, one for each round.
    times: Vec<f64>,
    wrong: Option<String>,
}

impl Entry<'_> {
    /// Whether it is so slow that a few rounds say enough.
    fn is_known(&self, params: usize) -> bool {
        const ROUNDS: usize = 3;
        const SLOW: Duration = Duration::from_millis(300);
        let step = median(&self.times).unwrap_or_default() * params as f64;
        self.times.len() >= ROUNDS && step > SLOW.as_nanos() as f64
    }
}

/// Seconds a step.
fn turn(
    entry: &mut Entry<'_>,
    case: &Case,
    numbers: &Numbers,
    truth: &[f64],
    burst: Duration,
) -> Result<f64> {
    let about = &entry.about;
    let mut run = entry.peer.start(case, numbers)?;
    run.steps(1)?;
    for scale in case.scales() {
        run.scale_grads(scale)?;
        run.steps(1)?;
    }
    if about.steps {
        check(&run.params()?, truth, about.format.bound())?;
    }
    if case.work == Work::Zeros {
        run.steps(ZEROS - case.scales().len())?;
    }
    // What was checked is no longer in the caches, and threads may be asleep.
    run.steps(1)?;
    let once = run.steps(1)?.max(Duration::from_nanos(1));
    let count = burst.div_duration_f64(once).ceil() as usize;
    let time = if once < LONG {
        run.steps(count)?.as_secs_f64() / count as f64
    } else {
        let times: Result<Vec<_>> = (0..count.max(3)).map(|_| Ok(run.steps(1)?.as_secs_f64())).collect();
        median(&times?).context("a time")?
    };
    drop(run);
    if about.spins {
        sleep(Duration::from_millis(10));
    }
    Ok(time)
}

/// Of the ceilings in several layouts, the lowest.
fn best_ceiling(mut rows: Vec<Row>) -> Vec<Row> {
    let time = |row: &Row| row.median().unwrap_or(f64::INFINITY);
    let ceilings: Vec<Row> = rows.extract_if(.., |row| row.peer == c::CEILING).collect();
    rows.extend(ceilings.into_iter().min_by(|a, b| time(a).total_cmp(&time(b))));
    rows
}

pub(crate) fn median(numbers: &[f64]) -> Option<f64> {
    let mut numbers = numbers.to_vec();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Format;

    #[test]
    fn the_ceiling_is_the_fastest_layout() {
        let row = |peer: &str, times: &[f64]| Row {
            case: "case".into(),
            params: 1,
            threads: 1,
            peer: peer.into(),
            format: Format::F32,
            outcome: Outcome::Timed(times.into()),
            others: None,
            repeated: 0,
        };
        let rows = [
            row("ceiling", &[3.0]),
            row("ceiling", &[9.0, 1.0, 2.0]),
            row("one", &[1.0]),
            row("ceiling", &[4.0]),
        ];
        let found = best_ceiling(rows.into());
        let found: Vec<_> = found.iter().map(|row| (&*row.peer, row.median())).collect();
        assert_eq!(found, [("one", Some(1.0)), ("ceiling", Some(2.0))]);
    }
}
