//! Nothing here is timed for its time's sake.

use crate::case::{Case, Format, Work, cases};
use crate::data::{Numbers, Placed, Streams, concat, scale};
use crate::measure::{Effort, measure};
use crate::peer::{About, Peer, Run, all, python, takes_part, time};
use crate::report::{Line, Outcome, Row, csv, table, verdict};
use crate::truth::{Coefficients, check, truth};
use anyhow::Result;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

const QUICKLY: Effort = Effort { rounds: 2, burst: Duration::from_micros(10) };

fn case(name: &str, work: Work, lens: &[usize]) -> Case {
    Case { name: name.into(), lens: lens.into(), work }
}

fn present(threads: usize) -> Vec<Box<dyn Peer>> {
    all(threads, None, &|_| true).into_iter().filter_map(|(_, peer)| peer.ok()).collect()
}

/// The eight tensors of a few are of unlike lengths, one of them of one element.
fn all_works() -> Vec<Case> {
    vec![
        case("one", Work::Step, &[1003]),
        case("few", Work::Step, &[17, 1, 400, 64, 1003, 3, 5, 16]),
        case("clipped", Work::Clip, &[1003]),
        case("formats", Work::Formats, &[1003]),
        case("zeros", Work::Zeros, &[103]),
    ]
}

#[test]
fn every_peer_agrees_with_the_truth() {
    for threads in [1, 2] {
        for case in all_works() {
            let numbers = Numbers::draw(&case.lens);
            let truth = truth(&case, &numbers, 5);
            let mut checked = vec![];
            for mut peer in present(threads) {
                let about = peer.about();
                if !takes_part(&about, &case) || !about.steps {
                    continue;
                }
                let mut run = peer.start(&case, &numbers).unwrap();
                for t in 0..5 {
                    if let Some(scale) =
                        (t as usize).checked_sub(1).and_then(|t| case.scales().get(t).copied())
                    {
                        run.scale_grads(scale).unwrap();
                    }
                    run.steps(1).unwrap();
                }
                let distance = check(&run.params().unwrap(), &truth, about.format.bound());
                let distance =
                    distance.unwrap_or_else(|why| panic!("{} in {}: {why}", about.name, case.name));
                println!("{}, {threads}: {} is {distance:e} away", case.name, about.name);
                checked.push(about.name);
            }
            assert!(checked.len() >= 4, "{}: {checked:?}", case.name);
        }
    }
}

/// The clipped cases clip, and the truth of the others is not still.
#[test]
fn the_truth_moves() {
    for case in all_works() {
        let numbers = Numbers::draw(&case.lens);
        let stepped = truth(&case, &numbers, 3);
        let moved = stepped
            .iter()
            .zip(numbers.params.iter().flatten())
            .all(|(a, b)| (*a - f64::from(*b)).abs() > 1e-9);
        assert!(moved, "{}", case.name);
    }
    let numbers = Numbers::draw(&[1003]);
    let norm = numbers.grads[0].iter().map(|g| g * g).sum::<f32>().sqrt();
    assert!(norm > 2.0, "{norm}");
}

/// With `eps` inside of the root.
struct Broken;

struct BrokenRun(Streams, u64);

impl Peer for Broken {
    fn about(&self) -> About {
        About { name: "broken", ..About::default() }
    }

    fn start(&mut self, _: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
        Ok(Box::new(BrokenRun(Streams::new(numbers), 0)))
    }
}

impl Run for BrokenRun {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        time(count, || {
            self.1 += 1;
            let c = Coefficients::at(self.1);
            for (p, g, m, v) in self.0.each() {
                for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
                    *m += c.rest1 * (g - *m);
                    *v = c.beta2 * *v + c.rest2 * g * g;
                    *p = *p - c.decay * *p - c.lr * *m / (*v + c.eps).sqrt();
                }
            }
            Ok(())
        })
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        scale(&mut self.0.grads, factor);
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        Ok(concat(&self.0.params))
    }
}

#[test]
fn a_broken_peer_is_found_wrong_and_not_timed() {
    let rows = measure(&case("one", Work::Step, &[1003]), &mut [Box::new(Broken)], 1, QUICKLY, &mut || {});
    assert!(matches!(&rows[..], [Row { outcome: Outcome::Wrong(why), .. }] if why.contains("instead of")));
    assert!(table(&rows).contains("broken                 WRONG: parameter"));
}

#[test]
fn a_number_that_is_none_is_wrong() {
    assert!(check(&[1.0, f32::NAN], &[1.0, 1.0], 1e-5).is_err());
    assert!(check(&[1.0], &[1.0, 1.0], 1e-5).is_err());
    assert!(check(&[1.0, 1.00002], &[1.0, 1.0], 1e-5).is_err());
    assert!(check(&[1.0, 1.000001], &[1.0, 1.0], 1e-5).is_ok());
}

#[test]
fn every_present_peer_has_a_line_in_every_case() {
    let mut peers = present(2);
    let (mut rows, mut expected, mut rounds) = (vec![], vec![], 0);
    for case in all_works() {
        rows.extend(measure(&case, &mut peers, 2, QUICKLY, &mut || rounds += 1));
        let mut names: Vec<_> =
            peers.iter().map(|peer| peer.about()).filter(|about| takes_part(about, &case)).collect();
        names.sort_by_key(|about| !about.steps); // the ceiling is last, once for all layouts
        names.dedup_by_key(|about| about.name);
        expected.extend(names.iter().map(|about| (case.name.clone(), about.name.to_owned())));
    }
    assert_eq!(rounds, 2 * all_works().len());
    let mut bytes = vec![];
    csv(&rows, &mut bytes).unwrap();
    let lines: Vec<Line> = csv::Reader::from_reader(&*bytes).deserialize().collect::<Result<_, _>>().unwrap();
    assert_eq!(lines.iter().map(|line| (line.case.clone(), line.peer.clone())).collect::<Vec<_>>(), expected);
    for line in lines {
        let [min, median, max] = [line.min, line.median, line.max].map(|time| time.expect("timed"));
        assert!(
            line.wrong.is_none() && 0.0 < min && min <= median && median <= max && line.rounds == 2,
            "{line:?}"
        );
        assert!(line.peer != "lanestep" || line.ratio == Some(1.0), "{line:?}");
    }
}

#[test]
fn the_verdict_names_the_fastest_peer_of_the_same_format() {
    let row = |peer: &str, format, times: &[f64]| Row {
        case: "case".into(),
        params: 10,
        threads: 1,
        peer: peer.into(),
        format,
        outcome: Outcome::Timed(times.into()),
        others: Some(0.0),
        repeated: 0,
    };
    let rows = [
        row("lanestep", Format::F32, &[9.0, 2.0, 1.0]),
        row("lanestep, bf16", Format::Bf16, &[1.0]),
        row("lanestep, 8-bit state", Format::Block8, &[1.0]),
        row("slow", Format::F32, &[4.0]),
        row("fast", Format::F32, &[1.6]),
        row("bf16", Format::Bf16, &[0.98]),
        row("ceiling", Format::F32, &[0.1]),
    ];
    let verdict = verdict(&rows);
    assert!(verdict.contains("1 of 2 rows refute it"), "{verdict}");
    assert!(verdict.contains("1.25 x fast                   REFUTED"), "{verdict}");
    assert!(verdict.contains("1.02 x bf16"), "{verdict}");
    let table = table(&rows);
    assert!(table.contains("lanestep                  2.000 [1.000 .. 9.000]     1.00"), "{table}");
    assert!(table.contains("slow                      4.000 [4.000 .. 4.000]     2.00"), "{table}");
}

#[test]
fn filters_pick_cases() {
    let names = |filters: &[&str]| -> Vec<String> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        cases(false, &filters).into_iter().map(|case| case.name).collect()
    };
    assert_eq!(names(&["2^26", "zeros"]), ["step/2^26", "zeros/2^14"]);
    assert_eq!(names(&["step/"]).len(), 6);
    assert!(names(&[]).len() > 10);
    assert!(names(&["no such case"]).is_empty());
    let gpt2 = &cases(false, &["gpt2".into()])[0];
    assert_eq!((gpt2.lens.len(), gpt2.params()), (148, 124_439_808));
}

#[test]
fn numbers_lie_where_they_are_put() {
    for offset in [0, 64, 4032] {
        let placed = Placed::at(offset, [1.5_f32, 2.5, 3.5].into_iter());
        assert_eq!((&*placed, placed.as_ptr().addr() % 4096), (&[1.5, 2.5, 3.5][..], offset));
        let placed = Placed::at(offset, [1_u16, 2].into_iter());
        assert_eq!((&*placed, placed.as_ptr().addr() % 4096), (&[1, 2][..], offset));
    }
    let offsets: HashSet<_> = (0..200).map(|_| Placed::<f32>::zeros(1).as_ptr().addr() % 4096).collect();
    assert!(offsets.len() > 32 && offsets.iter().all(|offset| offset % 64 == 0), "{offsets:?}");
}

#[test]
fn without_python_its_peers_are_absent_with_a_reason() {
    let absent = python::all(Path::new("no/such/python"), 1, &|_| true);
    assert_eq!(absent.len(), 7);
    for (name, peer) in absent {
        let why = peer.err().map(|why| format!("{why:#}")).unwrap_or_default();
        assert!(why.starts_with("no/such/python: "), "{name}: {why}");
    }
}

#[test]
fn a_wrong_lanestep_refutes_the_claim() {
    let row = |peer: &str, outcome| Row {
        case: "case".into(),
        params: 1,
        threads: 1,
        peer: peer.into(),
        format: Format::F32,
        outcome,
        others: None,
        repeated: 0,
    };
    let rows = [row("lanestep", Outcome::Wrong("far away".into())), row("other", Outcome::Timed(vec![1.0]))];
    let verdict = verdict(&rows);
    assert!(verdict.contains("1 of 1 rows refute it") && verdict.contains("WRONG: far away"), "{verdict}");
}
