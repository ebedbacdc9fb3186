//! Schedules: PyTorch's values, the ends to the bit, any options at any step.
#![allow(clippy::float_cmp, reason = "values that are exact")]

use ciborium::Value;
use lanestep::schedule::{Anneal, Cyclic, CyclicMode, Mode, OneCycle, ThresholdMode};
use lanestep::{AdamW, Error, Optimizer, ReduceOnPlateau, Schedule};
use proptest::prelude::*;
use serde::Deserialize;

const LARGEST: f64 = f32::MAX as f64;

#[derive(Deserialize)]
struct Golden {
    schedules: Vec<Followed>,
    plateaus: Vec<Watched>,
}

/// The learning rates of every `every`-th step from 0 on.
#[derive(Deserialize)]
struct Followed {
    schedule: Schedule,
    every: u64,
    lrs: Vec<f64>,
}

/// The learning rate after each metric.
#[derive(Deserialize)]
struct Watched {
    options: ReduceOnPlateau,
    metrics: Vec<f64>,
    lrs: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../schedules.json")).unwrap()
}

/// To a rounding error or two, and what PyTorch's recursions drift by. Both are measured against the largest learning
/// rate, as a difference near 0 has lost its digits.
#[test]
fn every_schedule_is_pytorchs() {
    let golden = golden();
    assert!(golden.schedules.len() >= 30);
    for Followed { schedule, every, lrs } in golden.schedules {
        schedule.check().unwrap();
        let largest = lrs.iter().fold(0.0, |max: f64, lr| max.max(*lr));
        for (i, theirs) in lrs.iter().enumerate() {
            let step = i as u64 * every;
            let ours = schedule.lr(step);
            let bound = (1e-15 + 2e-17 * step as f64) * largest;
            assert!((ours - theirs).abs() <= bound, "{schedule:?}, step {step}: {ours} for {theirs}");
        }
    }
}

#[test]
fn every_plateau_is_pytorchs_to_the_bit() {
    let golden = golden();
    assert!(golden.plateaus.len() >= 10);
    for Watched { options, metrics, lrs } in golden.plateaus {
        options.check().unwrap();
        let mut plateau = options;
        for (epoch, (metric, theirs)) in metrics.iter().zip(&lrs).enumerate() {
            let ours = plateau.step(*metric);
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{options:?}, epoch {epoch}: {ours} for {theirs}");
            assert_eq!(ours.to_bits(), plateau.lr.to_bits());
        }
    }
}

#[test]
fn both_ends_are_exact_and_the_last_stays() {
    let linear =
        |start_factor, end_factor| Schedule::Linear { lr: 0.3, start_factor, end_factor, total_iters: 7 };
    let cycle = OneCycle { anneal_strategy: Anneal::Linear, ..OneCycle::new(0.3, 1000) };
    let ends: [(Schedule, f64, u64, f64); 20] = [
        (Schedule::constant(0.3), 0.3, 0, 0.3),
        (Schedule::Constant { lr: 0.3, factor: 0.7, total_iters: 7 }, 0.3 * 0.7, 7, 0.3),
        (linear(0.1, 0.9), 0.3 * 0.1, 7, 0.3 * 0.9),
        (linear(0.9, 0.1), 0.3 * 0.9, 7, 0.3 * 0.1),
        (Schedule::linear(0.3, 7), 0.3, 7, 0.0),
        (Schedule::step(0.3, 7, 0.0), 0.3, 7, 0.0),
        (Schedule::multi_step(0.3, [5, 7], 0.5), 0.3, 7, 0.3 / 4.0),
        (Schedule::exponential(0.3, 0.5), 0.3, 5000, 0.0),
        (Schedule::exponential(0.3, 2.0), 0.3, 5000, LARGEST),
        (Schedule::exponential(0.0, 2.0), 0.0, 5000, 0.0),
        (Schedule::polynomial(0.3, 7, 0.9), 0.3, 7, 0.0),
        (Schedule::Cosine { lr: 0.3, t_max: 7, eta_min: 0.1 }, 0.3, 7, 0.1),
        (OneCycle::new(0.3, 1000).into(), 0.3 / 25.0, 999, 0.3 / 25.0 / 1e4),
        (OneCycle { three_phase: true, pct_start: 0.5, ..cycle }.into(), 0.3 / 25.0, 999, 0.3 / 25.0 / 1e4),
        (OneCycle { pct_start: 1.0, ..cycle }.into(), 0.3 / 25.0, 999, 0.3 / 25.0 / 1e4),
        (Schedule::warmup_stable_decay(0.3, 7, 7, 7), 0.0, 21, 0.0),
        (linear(0.9, 0.1).warmup(3), 0.0, 10, 0.3 * 0.1),
        (Schedule::sequence([(linear(0.9, 0.1), 3), (Schedule::cosine(0.4, 9), 9)]), 0.3 * 0.9, 12, 0.0),
        (
            Schedule::chained(0.7, [linear(0.9, 0.1), linear(0.2, 0.5)]),
            0.7 * 0.27 * 0.06,
            7,
            0.7 * 0.03 * 0.15,
        ),
        (Schedule::chained(0.0, [Schedule::exponential(1.0, 2.0)]), 0.0, 5000, 0.0),
    ];
    for (schedule, first, end, last) in ends {
        schedule.check().unwrap();
        assert_eq!(schedule.lr(0).to_bits(), first.to_bits(), "{schedule:?}");
        for step in [end, end + 1, end + 1000, u64::MAX / 3, u64::MAX - 1, u64::MAX] {
            assert_eq!(schedule.lr(step).to_bits(), last.to_bits(), "{schedule:?}, step {step}");
        }
    }
}

#[test]
fn every_join_is_exact() {
    let (peak, eta_min) = (0.3, 0.1);
    let wsd = Schedule::WarmupStableDecay {
        lr: peak,
        warmup_steps: 5,
        stable_steps: 6,
        decay_steps: 7,
        eta_min,
        decay: Anneal::Sqrt,
    };
    let restarts = Schedule::CosineWarmRestarts { lr: peak, t_0: 3, t_mult: 2, eta_min };
    for (schedule, step, lr) in [
        (wsd.clone(), 5, peak),
        (wsd.clone(), 10, peak),
        (wsd.clone(), 11, peak),
        (wsd, 18, eta_min),
        (restarts.clone(), 3, peak),
        (restarts.clone(), 9, peak),
        (restarts.clone(), 21, peak),
        (restarts.warmup(10), 10, peak),
        (OneCycle { pct_start: 0.25, ..OneCycle::new(peak, 100) }.into(), 24, peak),
        (OneCycle { pct_start: 0.1, ..OneCycle::new(peak, 10) }.into(), 0, peak), // 0/0 in PyTorch
        (OneCycle { pct_start: 0.25, three_phase: true, ..OneCycle::new(peak, 100) }.into(), 48, peak / 25.0),
        (OneCycle::new(peak, 1).into(), 0, peak / 25.0 / 1e4),
        (Schedule::inverse_sqrt(peak, 100), 300, peak / 2.0),
        (
            Schedule::chained(peak, [Schedule::step(1.0, 5, 0.5), Schedule::multi_step(4.0, [9], 2.0)]),
            9,
            peak * 4.0,
        ),
        (Schedule::chained(LARGEST, [Schedule::constant(LARGEST), Schedule::constant(0.0)]), 0, 0.0),
        (Schedule::chained(LARGEST, vec![Schedule::constant(LARGEST); 20]), 0, LARGEST),
        (Schedule::chained(LARGEST, [Schedule::constant(8.0), Schedule::constant(0.125)]), 0, LARGEST),
        (
            Schedule::Warmup { steps: 4, start_factor: 0.7, then: Box::new(Schedule::constant(peak)) },
            0,
            peak * 0.7,
        ),
        (Schedule::constant(peak).warmup(0), 0, peak),
        (Schedule::sequence([(Schedule::constant(1.0), 0), (Schedule::constant(peak), 1)]), 0, peak),
    ] {
        assert_eq!(schedule.lr(step).to_bits(), f64::to_bits(lr), "{schedule:?}, step {step}");
    }
}

#[test]
fn what_follows_the_warmup_begins_at_its_own_start() {
    let after = [Schedule::cosine(0.3, 50), Schedule::exponential(0.2, 0.9), Schedule::inverse_sqrt(0.3, 8)];
    for then in after {
        let line = Schedule::Linear { lr: then.lr(0), start_factor: 0.0, end_factor: 1.0, total_iters: 8 };
        let parts = Schedule::sequence([(line, 8), (then.clone(), 1)]);
        let warm = then.clone().warmup(8);
        for step in 0..100 {
            assert_eq!(warm.lr(step).to_bits(), parts.lr(step).to_bits());
        }
        assert_eq!(warm.lr(8 + 30).to_bits(), then.lr(30).to_bits());
    }
}

/// `d_model^-0.5 * min(t^-0.5, t * warmup^-1.5)`.
#[test]
fn the_transformers_schedule_is_the_papers() {
    let (d_model, warmup) = (512.0_f64, 4000_u64);
    let peak = 1.0 / (d_model * warmup as f64).sqrt();
    let schedule = Schedule::inverse_sqrt(peak, warmup).warmup(warmup);
    for t in (0..50_000).step_by(7) {
        let x = t as f64;
        let paper = d_model.powf(-0.5) * f64::min(x.powf(-0.5), x * (warmup as f64).powf(-1.5));
        assert!((schedule.lr(t) - paper).abs() <= 1e-15 * peak, "{t}");
    }
}

#[test]
fn warmup_stable_decay_is_the_sequence_of_the_three() {
    let [warmup, stable, decay] = [10, 20, 30];
    let whole = Schedule::warmup_stable_decay(0.3, warmup, stable, decay);
    let parts = [(Schedule::constant(0.3), stable), (Schedule::linear(0.3, decay), decay)];
    let parts = Schedule::sequence(parts).warmup(warmup);
    for step in 0..100 {
        assert_eq!(whole.lr(step).to_bits(), parts.lr(step).to_bits(), "{step}");
    }
}

#[test]
fn decays_have_their_shapes() {
    let down = |decay| Schedule::WarmupStableDecay {
        lr: 1.0,
        warmup_steps: 0,
        stable_steps: 0,
        decay_steps: 16,
        eta_min: 0.0,
        decay,
    };
    assert_eq!([4, 8, 12].map(|step| down(Anneal::Linear).lr(step)), [0.75, 0.5, 0.25]);
    assert_eq!([1, 4, 9].map(|step| down(Anneal::Sqrt).lr(step)), [0.75, 0.5, 0.25]);
    for (step, lr) in [(4, 0.5 + 0.125_f64.sqrt()), (8, 0.5), (12, 0.5 - 0.125_f64.sqrt())] {
        assert!((down(Anneal::Cos).lr(step) - lr).abs() <= 2e-16);
    }
}

#[test]
fn restarts_are_where_a_walk_finds_them() {
    for (t_0, t_mult) in [(1, 1), (7, 1), (1, 2), (3, 2), (5, 3), (1000, 10)] {
        let schedule = Schedule::cosine_warm_restarts(0.3, t_0, t_mult);
        let (mut t_cur, mut t_i) = (0, t_0);
        for step in 0..3000 {
            let within = Schedule::cosine(0.3, t_i).lr(t_cur);
            assert_eq!(schedule.lr(step).to_bits(), within.to_bits(), "{schedule:?}, step {step}");
            t_cur += 1;
            if t_cur == t_i {
                (t_cur, t_i) = (0, t_i * t_mult);
            }
        }
    }
}

/// All that is far away: restart `n` is at step `t_0 * (t_mult^n - 1) / (t_mult - 1)`.
#[test]
fn restarts_far_away_are_exact() {
    for (t_0, t_mult) in [(1, 2_u64), (3, 2), (7, 3), (1000, 1000), (1 << 40, 1 << 20)] {
        let schedule = Schedule::cosine_warm_restarts(0.3, t_0, t_mult);
        let starts = (0..64).map(|n| {
            let power = u128::from(t_mult).checked_pow(n).unwrap_or(u128::from(u64::MAX));
            u128::from(t_0) * (power - 1) / u128::from(t_mult - 1)
        });
        for start in starts.map_while(|start| u64::try_from(start).ok()) {
            assert_eq!(schedule.lr(start).to_bits(), 0.3_f64.to_bits(), "{schedule:?}, step {start}");
        }
    }
    assert!(Schedule::cosine_warm_restarts(0.3, u64::MAX, u64::MAX).lr(u64::MAX) == 0.3);
    assert!(Schedule::cosine_warm_restarts(0.3, u64::MAX, 2).lr(u64::MAX - 1) < 1e-15);
}

/// `CyclicLR.get_lr` in its own order: where a step is in its cycle, as a fraction.
fn cyclic_lr(cycles: &Cyclic, step: u64) -> f64 {
    let (step, up) = (step as f64, cycles.step_size_up as f64);
    let total = up + cycles.step_size_down.map_or(up, |down| down as f64);
    let ratio = up / total;
    let cycle = (1.0 + step / total).floor();
    let x = 1.0 + step / total - cycle;
    let height = if x <= ratio { x / ratio } else { (x - 1.0) / (ratio - 1.0) };
    let scale = match cycles.mode {
        CyclicMode::Triangular => 1.0,
        CyclicMode::Triangular2 => 1.0 / 2_f64.powf(cycle - 1.0),
        CyclicMode::ExpRange => cycles.gamma.powf(step),
        other => panic!("no scale for {other:?}"),
    };
    cycles.base_lr + (cycles.max_lr - cycles.base_lr) * height * scale
}

const CYCLIC_MODES: [CyclicMode; 3] = [CyclicMode::Triangular, CyclicMode::Triangular2, CyclicMode::ExpRange];

/// But for the digits that PyTorch's fraction loses to the number of the cycle, in parts of the shorter way, and for
/// what a power drifts by.
#[test]
fn every_cycle_is_pytorchs() {
    for mode in CYCLIC_MODES {
        for (step_size_up, step_size_down) in
            [(2000, None), (1, None), (4, Some(12)), (7, Some(3)), (9, Some(1)), (5, Some(0))]
        {
            let down = step_size_down.unwrap_or(step_size_up);
            let shorter = if down == 0 { step_size_up } else { down.min(step_size_up) };
            for (base_lr, max_lr, gamma) in [(0.0, 1.0, 1.0), (1e-3, 9e-3, 0.999), (0.3, 0.3, 0.0)] {
                let cycles = Cyclic { base_lr, max_lr, step_size_up, step_size_down, mode, gamma };
                let schedule = Schedule::from(cycles);
                schedule.check().unwrap();
                for step in 0..10_000 {
                    let (ours, theirs) = (schedule.lr(step), cyclic_lr(&cycles, step));
                    let lost = (step + step_size_up + down) as f64 / shorter as f64;
                    let drift = if mode == CyclicMode::ExpRange { step as f64 / 10.0 } else { 0.0 };
                    let bound = max_lr * f64::EPSILON * (4.0 + lost + drift);
                    assert!((ours - theirs).abs() <= bound, "{cycles:?}, step {step}: {ours} for {theirs}");
                }
            }
        }
    }
}

#[test]
fn cycles_begin_and_peak_to_the_bit() {
    let max_lr = 0.009;
    for (up, down) in [(1, 1), (3, 8), (4, 0), (1, 5), (2000, 2000), (1, 1 << 40), (1 << 63, (1 << 63) - 1)] {
        let total = up + down;
        for cycle in [0, 1, 2, 30, u64::MAX / total] {
            let Some(start) = total.checked_mul(cycle) else { continue };
            let from = |base_lr, mode| {
                let cycles = Cyclic::new(base_lr, max_lr, up);
                Schedule::from(Cyclic { mode, gamma: 0.5, step_size_down: Some(down), ..cycles })
            };
            for mode in CYCLIC_MODES {
                let schedule = from(0.001, mode);
                assert_eq!(schedule.lr(start).to_bits(), 0.001_f64.to_bits(), "{schedule:?}, step {start}");
            }
            let Some(peak) = start.checked_add(up).filter(|_| down > 0) else { continue };
            for (base_lr, mode, lr) in [
                (0.001, CyclicMode::Triangular, max_lr),
                (0.0, CyclicMode::Triangular2, max_lr * 0.5_f64.powf(cycle as f64)),
                (0.0, CyclicMode::ExpRange, max_lr * 0.5_f64.powf(peak as f64)),
            ] {
                let schedule = from(base_lr, mode);
                assert_eq!(schedule.lr(peak).to_bits(), lr.to_bits(), "{schedule:?}, step {peak}");
            }
        }
    }
    let (mode, step_size_down) = (CyclicMode::Triangular2, Some(u64::MAX));
    let endless = Schedule::from(Cyclic { mode, step_size_down, ..Cyclic::new(0.001, max_lr, 1 << 63) });
    assert_eq!(endless.lr(1 << 63).to_bits(), max_lr.to_bits());
    assert!((endless.lr(u64::MAX) - f64::midpoint(0.001, max_lr)).abs() < 1e-17);
}

/// As PyTorch does it: each scheduler in turn multiplies the learning rate that the last one left.
#[test]
fn what_is_chained_is_pytorchs() {
    type Follow = fn(u64) -> f64;
    let constant: (Schedule, Follow) =
        (Schedule::Constant { lr: 1.0, factor: 0.1, total_iters: 20 }, |t| match t {
            0 => 0.1,
            20 => 1.0 / 0.1,
            _ => 1.0,
        });
    let linear: (Schedule, Follow) =
        (Schedule::Linear { lr: 1.0, start_factor: 0.25, end_factor: 0.75, total_iters: 30 }, |t| match t {
            0 => 0.25,
            1..=30 => 1.0 + 0.5 / (30.0 * 0.25 + (t - 1) as f64 * 0.5),
            _ => 1.0,
        });
    let step: (Schedule, Follow) =
        (Schedule::step(1.0, 7, 0.5), |t| if t > 0 && t % 7 == 0 { 0.5 } else { 1.0 });
    let milestones: (Schedule, Follow) = (Schedule::multi_step(1.0, [3, 11, 11], 1.5), |t| match t {
        3 => 1.5,
        11 => 1.5 * 1.5,
        _ => 1.0,
    });
    let exponential: (Schedule, Follow) =
        (Schedule::exponential(1.0, 0.9), |t| if t == 0 { 1.0 } else { 0.9 });
    let polynomial: (Schedule, Follow) = (Schedule::polynomial(1.0, 40, 2.0), |t| match t {
        1..=40 => {
            let left = |t| 1.0 - t as f64 / 40.0;
            (left(t) / left(t - 1)).powi(2)
        }
        _ => 1.0,
    });
    let cosine: (Schedule, Follow) = (Schedule::cosine(1.0, 50), |t| match t {
        1..=50 => {
            let wave = |t| 1.0 + (std::f64::consts::PI * t as f64 / 50.0).cos();
            wave(t) / wave(t - 1)
        }
        _ => 1.0,
    });
    for chain in [
        vec![&constant, &exponential],
        vec![&exponential, &constant],
        vec![&linear, &cosine],
        vec![&step, &milestones, &polynomial],
        vec![&milestones],
        vec![&constant, &linear, &step, &milestones, &exponential, &polynomial, &cosine],
    ] {
        let schedule = Schedule::chained(0.05, chain.iter().map(|part| part.0.clone()).collect::<Vec<_>>());
        schedule.check().unwrap();
        let mut theirs = 0.05;
        for t in 0..60 {
            for (_, follow) in &chain {
                theirs *= follow(t);
            }
            let ours = schedule.lr(t);
            assert!((ours - theirs).abs() <= 1e-16, "{schedule:?}, step {t}: {ours} for {theirs}");
        }
    }
}

#[test]
fn a_chain_is_the_product_in_its_order() {
    let parts =
        [Schedule::cosine(0.3, 50).warmup(7), Schedule::cyclic(0.1, 0.7, 4), Schedule::exponential(3.0, 1.1)];
    let schedule = Schedule::chained(0.9, parts.clone());
    let nested = Schedule::chained(1.0, [Schedule::chained(0.9, parts[..2].to_vec()), parts[2].clone()]);
    for step in (0..100).chain([u64::MAX]) {
        let product = parts.iter().fold(0.9, |product, part| product * part.lr(step)).min(LARGEST);
        assert_eq!(schedule.lr(step).to_bits(), product.to_bits(), "{step}");
        assert_eq!(nested.lr(step).to_bits(), product.to_bits(), "{step}");
    }
}

#[test]
fn an_optimizer_takes_whatever_a_schedule_gives() {
    let schedule = Schedule::exponential(1e-3, 1e30).warmup(3);
    let mut optimizer = Optimizer::new(AdamW::default(), 1).unwrap();
    for lr in [0.0, 1e-3 / 3.0, 1e-3 * (2.0 / 3.0), 1e-3, 1e-3 * 1e30, LARGEST, LARGEST] {
        optimizer.set_lr(schedule.lr(optimizer.steps())).unwrap();
        assert_eq!(optimizer.lr().to_bits(), f64::to_bits(lr));
        optimizer.step(&mut [1.0], &[1.0]).unwrap();
    }
}

/// With zeros, NaN and infinities for options there is no learning rate to speak of, but an answer at once.
#[test]
fn no_option_makes_it_panic() {
    for x in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for n in [0, 1, u64::MAX] {
            let cycle = OneCycle { pct_start: x, div_factor: x, ..OneCycle::new(x, n) };
            let linear = Schedule::Linear { lr: 1.0, start_factor: x, end_factor: x, total_iters: n };
            let cyclic =
                |mode| Cyclic { step_size_down: Some(n), mode, gamma: x, ..Cyclic::new(x, 1.0, n) }.into();
            for schedule in [
                Schedule::Constant { lr: x, factor: x, total_iters: n },
                linear.clone(),
                Schedule::step(x, n, x),
                Schedule::multi_step(x, [n], x),
                Schedule::exponential(x, x),
                Schedule::polynomial(x, n, x),
                Schedule::polynomial(1.0, n, x),
                Schedule::Cosine { lr: 1.0, t_max: n, eta_min: x },
                Schedule::CosineWarmRestarts { lr: 1.0, t_0: n, t_mult: n, eta_min: x },
                Schedule::cosine_warm_restarts(x, n, 0),
                Schedule::from(cycle),
                Schedule::from(OneCycle { three_phase: true, ..cycle }),
                cyclic(CyclicMode::Triangular),
                cyclic(CyclicMode::Triangular2),
                cyclic(CyclicMode::ExpRange),
                Schedule::cyclic(x, x, n),
                Schedule::inverse_sqrt(x, n),
                Schedule::warmup_stable_decay(x, n, n, n),
                linear.warmup(n),
                Schedule::sequence([]),
                Schedule::sequence([(Schedule::constant(x), n), (Schedule::constant(x), n)]),
                Schedule::chained(x, []),
                Schedule::chained(x, [Schedule::constant(x), Schedule::exponential(x, x)]),
            ] {
                for step in [0, 1, u64::MAX] {
                    let _ = schedule.lr(step);
                }
                let _ = schedule.check();
            }
        }
    }
}

/// `0.001 + (0.009 - 0.001)` is more than 0.009, and half a cosine is flat at its start.
#[test]
fn no_rounding_leads_above_the_largest() {
    let schedule = Schedule::Cosine { lr: 0.009, t_max: 1 << 40, eta_min: 0.001 };
    assert_eq!(schedule.lr(1).to_bits(), 0.009_f64.to_bits());
}

/// So that [`Optimizer::set_lr`] refuses it.
#[test]
fn what_is_no_number_stays_none() {
    for (lr, gamma) in [(f64::NAN, 0.5), (f64::NAN, 2.0), (0.1, f64::NAN), (0.0, f64::NAN)] {
        assert!(Schedule::exponential(lr, gamma).lr(5000).is_nan(), "{lr} {gamma}");
    }
    for (lr, eta_min) in [(f64::NAN, 0.0), (0.1, f64::NAN)] {
        assert!(Schedule::Cosine { lr, t_max: 9, eta_min }.lr(4).is_nan(), "{lr} {eta_min}");
    }
    for (base_lr, max_lr) in [(f64::NAN, 0.1), (0.1, f64::NAN)] {
        assert!(Schedule::cyclic(base_lr, max_lr, 9).lr(4).is_nan(), "{base_lr} {max_lr}");
    }
    for (lr, factor) in [(f64::NAN, 1e30), (0.1, f64::NAN), (f64::INFINITY, f64::NAN)] {
        let parts = vec![Schedule::constant(1e30), Schedule::constant(factor)];
        assert!(Schedule::chained(lr, parts).lr(4).is_nan(), "{lr} {factor}");
    }
}

fn name_of(error: &Error) -> &'static str {
    match error {
        Error::Hyperparameter { name, .. } => name,
        other => panic!("another error: {other:?}"),
    }
}

/// Below what is allowed, its two ends, and above it.
type Range = [f64; 4];
const NON_NEGATIVE: Range = [-1e-300, 0.0, LARGEST, LARGEST * 1.000_001];
const UNIT: Range = [-1e-300, 0.0, 1.0, 1.000_001];
const TO_A_TENTH: Range = [-1e-300, 0.0, 0.1, 0.100_001];

#[test]
fn every_number_is_checked_and_named() {
    type Make = fn(f64) -> Schedule;
    let numbers: [(&str, Range, Make); 37] = [
        ("lr", NON_NEGATIVE, Schedule::constant),
        ("factor", UNIT, |x| Schedule::Constant { lr: 1.0, factor: x, total_iters: 1 }),
        ("lr", NON_NEGATIVE, |x| Schedule::linear(x, 1)),
        ("start_factor", UNIT, |x| Schedule::Linear {
            lr: 1.0,
            start_factor: x,
            end_factor: 1.0,
            total_iters: 1,
        }),
        ("end_factor", UNIT, |x| Schedule::Linear {
            lr: 1.0,
            start_factor: 1.0,
            end_factor: x,
            total_iters: 1,
        }),
        ("lr", NON_NEGATIVE, |x| Schedule::step(x, 1, 0.1)),
        ("gamma", NON_NEGATIVE, |x| Schedule::step(1.0, 1, x)),
        ("lr", NON_NEGATIVE, |x| Schedule::multi_step(x, [], 0.1)),
        ("gamma", NON_NEGATIVE, |x| Schedule::multi_step(1.0, [], x)),
        ("lr", NON_NEGATIVE, |x| Schedule::exponential(x, 0.1)),
        ("gamma", NON_NEGATIVE, |x| Schedule::exponential(1.0, x)),
        ("lr", NON_NEGATIVE, |x| Schedule::polynomial(x, 1, 1.0)),
        ("power", NON_NEGATIVE, |x| Schedule::polynomial(1.0, 1, x)),
        ("lr", NON_NEGATIVE, |x| Schedule::cosine(x, 1)),
        ("eta_min", TO_A_TENTH, |x| Schedule::Cosine { lr: 0.1, t_max: 1, eta_min: x }),
        ("lr", NON_NEGATIVE, |x| Schedule::cosine_warm_restarts(x, 1, 1)),
        ("eta_min", TO_A_TENTH, |x| Schedule::CosineWarmRestarts { lr: 0.1, t_0: 1, t_mult: 1, eta_min: x }),
        ("max_lr", NON_NEGATIVE, |x| Schedule::one_cycle(x, 9)),
        ("pct_start", UNIT, |x| OneCycle { pct_start: x, ..OneCycle::new(0.1, 9) }.into()),
        ("pct_start", [-1e-300, 0.0, 0.5, 0.500_001], |x| {
            OneCycle { pct_start: x, three_phase: true, ..OneCycle::new(0.1, 9) }.into()
        }),
        ("div_factor", [0.999_999, 1.0, LARGEST, LARGEST * 1.000_001], |x| {
            OneCycle { div_factor: x, ..OneCycle::new(0.1, 9) }.into()
        }),
        ("final_div_factor", [0.039_999, 0.04, LARGEST, LARGEST * 1.000_001], |x| {
            OneCycle { final_div_factor: x, ..OneCycle::new(0.1, 9) }.into()
        }),
        ("final_div_factor", [-0.0, 0.04, LARGEST, LARGEST * 1.000_001], |x| {
            OneCycle { final_div_factor: x, ..OneCycle::new(0.1, 9) }.into()
        }),
        ("final_div_factor", [0.0, 1e-300, LARGEST, LARGEST * 1.000_001], |x| {
            OneCycle { final_div_factor: x, ..OneCycle::new(0.0, 9) }.into()
        }),
        ("max_lr", NON_NEGATIVE, |x| Schedule::cyclic(0.0, x, 9)),
        ("base_lr", TO_A_TENTH, |x| Schedule::cyclic(x, 0.1, 9)),
        ("gamma", UNIT, |x| Cyclic { gamma: x, ..Cyclic::new(0.1, 0.1, 9) }.into()),
        ("lr", NON_NEGATIVE, |x| Schedule::inverse_sqrt(x, 1)),
        ("lr", NON_NEGATIVE, |x| Schedule::warmup_stable_decay(x, 1, 1, 1)),
        ("eta_min", TO_A_TENTH, |x| Schedule::WarmupStableDecay {
            lr: 0.1,
            warmup_steps: 1,
            stable_steps: 1,
            decay_steps: 1,
            eta_min: x,
            decay: Anneal::Linear,
        }),
        ("start_factor", UNIT, |x| Schedule::Warmup {
            steps: 1,
            start_factor: x,
            then: Box::new(Schedule::constant(1.0)),
        }),
        ("lr", NON_NEGATIVE, |x| Schedule::constant(x).warmup(1)),
        ("lr", NON_NEGATIVE, |x| {
            Schedule::sequence([(Schedule::constant(x), 1), (Schedule::constant(1.0), 1)])
        }),
        ("lr", NON_NEGATIVE, |x| {
            Schedule::sequence([(Schedule::constant(1.0), 1), (Schedule::constant(x), 1)])
        }),
        ("lr", NON_NEGATIVE, |x| Schedule::chained(x, [Schedule::constant(1.0)])),
        ("lr", NON_NEGATIVE, |x| Schedule::chained(1.0, [Schedule::constant(x), Schedule::constant(1.0)])),
        ("lr", NON_NEGATIVE, |x| Schedule::chained(1.0, [Schedule::constant(1.0), Schedule::constant(x)])),
    ];
    for (name, [below, low, high, above], make) in numbers {
        for good in [low, high] {
            assert_eq!(make(good).check(), Ok(()), "{name}: {good}");
        }
        for bad in [below, above, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = make(bad).check().expect_err(name);
            assert_eq!(name_of(&error), name, "{:?}", make(bad));
            assert!(error.to_string().contains("must be in ["), "{error}");
        }
    }
    let counts: [(&str, Schedule); 11] = [
        ("total_iters", Schedule::linear(1.0, 0)),
        ("step_size", Schedule::step(1.0, 0, 0.1)),
        ("total_iters", Schedule::polynomial(1.0, 0, 1.0)),
        ("t_max", Schedule::cosine(1.0, 0)),
        ("t_0", Schedule::cosine_warm_restarts(1.0, 0, 1)),
        ("t_mult", Schedule::cosine_warm_restarts(1.0, 1, 0)),
        ("total_steps", Schedule::one_cycle(1.0, 0)),
        ("step_size_up", Schedule::cyclic(0.0, 1.0, 0)),
        ("timescale", Schedule::inverse_sqrt(1.0, 0)),
        ("parts", Schedule::sequence([])),
        ("parts", Schedule::chained(1.0, [])),
    ];
    for (name, schedule) in counts {
        let error = schedule.check().expect_err(name);
        assert_eq!(name_of(&error), name);
        assert!(error.to_string().starts_with(&format!("{name} is 0, but must be at least ")), "{error}");
    }
}

#[test]
fn every_number_of_a_plateau_is_checked_and_named() {
    type Set = fn(&mut ReduceOnPlateau) -> &mut f64;
    let beyond = LARGEST * 1.000_001;
    let numbers: [(&str, f64, Set); 5] = [
        ("lr", beyond, |p| &mut p.lr),
        ("factor", 1.0, |p| &mut p.factor),
        ("threshold", beyond, |p| &mut p.threshold),
        ("min_lr", beyond, |p| &mut p.min_lr),
        ("eps", beyond, |p| &mut p.eps),
    ];
    for (name, above, of) in numbers {
        for (value, good) in [(0.0, true), (above / 1.000_002, true), (above, false), (-1e-9, false)]
            .into_iter()
            .chain([f64::NAN, f64::INFINITY].map(|x| (x, false)))
        {
            let mut plateau = ReduceOnPlateau::new(0.1);
            *of(&mut plateau) = value;
            let found = plateau.check().map_err(|error| name_of(&error));
            assert_eq!(found, if good { Ok(()) } else { Err(name) }, "{value}");
        }
    }
    for best in [f64::NAN, f64::INFINITY] {
        let plateau = ReduceOnPlateau { best: Some(best), ..ReduceOnPlateau::new(0.1) };
        assert_eq!(name_of(&plateau.check().unwrap_err()), "best");
    }
}

#[test]
fn what_a_dictionary_leaves_out_is_pytorchs_default() {
    let third = 1.0 / 3.0;
    for (text, schedule) in [
        (
            r#"{"schedule": "ConstantLR", "lr": 1}"#,
            Schedule::Constant { lr: 1.0, factor: third, total_iters: 5 },
        ),
        (
            r#"{"schedule": "LinearLR", "lr": 1}"#,
            Schedule::Linear { lr: 1.0, start_factor: third, end_factor: 1.0, total_iters: 5 },
        ),
        (r#"{"schedule": "StepLR", "lr": 1, "step_size": 30}"#, Schedule::step(1.0, 30, 0.1)),
        (
            r#"{"schedule": "MultiStepLR", "lr": 1, "milestones": [30, 80]}"#,
            Schedule::multi_step(1.0, [30, 80], 0.1),
        ),
        (r#"{"schedule": "ExponentialLR", "lr": 1, "gamma": 0.9}"#, Schedule::exponential(1.0, 0.9)),
        (r#"{"schedule": "PolynomialLR", "lr": 1}"#, Schedule::polynomial(1.0, 5, 1.0)),
        (r#"{"T_max": 30, "schedule": "CosineAnnealingLR", "lr": 1}"#, Schedule::cosine(1.0, 30)),
        (
            r#"{"schedule": "CosineAnnealingWarmRestarts", "lr": 1, "T_0": 30}"#,
            Schedule::cosine_warm_restarts(1.0, 30, 1),
        ),
        (r#"{"schedule": "OneCycleLR", "max_lr": 1, "total_steps": 30}"#, Schedule::one_cycle(1.0, 30)),
        (r#"{"schedule": "CyclicLR", "base_lr": 0.1, "max_lr": 1}"#, Schedule::cyclic(0.1, 1.0, 2000)),
        (
            r#"{"schedule": "CyclicLR", "base_lr": 0.1, "max_lr": 1, "step_size_down": null, "mode": "triangular2"}"#,
            Cyclic { mode: CyclicMode::Triangular2, ..Cyclic::new(0.1, 1.0, 2000) }.into(),
        ),
        (
            r#"{"schedule": "CyclicLR", "base_lr": 0.1, "max_lr": 1, "mode": "exp_range", "gamma": 0.5}"#,
            Cyclic { mode: CyclicMode::ExpRange, gamma: 0.5, ..Cyclic::new(0.1, 1.0, 2000) }.into(),
        ),
        (r#"{"schedule": "InverseSqrt", "lr": 1, "timescale": 30}"#, Schedule::inverse_sqrt(1.0, 30)),
        (
            r#"{"schedule": "WarmupStableDecay", "lr": 1, "warmup_steps": 1, "stable_steps": 2, "decay_steps": 3}"#,
            Schedule::warmup_stable_decay(1.0, 1, 2, 3),
        ),
        (
            r#"{"schedule": "Warmup", "steps": 3, "then": {"schedule": "PolynomialLR", "lr": 1}}"#,
            Schedule::polynomial(1.0, 5, 1.0).warmup(3),
        ),
        (
            r#"{"schedule": "Sequence", "parts": [[{"schedule": "PolynomialLR", "lr": 1}, 5]]}"#,
            Schedule::sequence([(Schedule::polynomial(1.0, 5, 1.0), 5)]),
        ),
        (
            r#"{"schedule": "ChainedScheduler", "lr": 0.5, "parts": [{"schedule": "PolynomialLR", "lr": 1}]}"#,
            Schedule::chained(0.5, [Schedule::polynomial(1.0, 5, 1.0)]),
        ),
    ] {
        assert_eq!(serde_json::from_str::<Schedule>(text).unwrap(), schedule, "{text}");
    }
    let cycle = OneCycle::new(1.0, 30);
    assert_eq!((cycle.pct_start, cycle.anneal_strategy, cycle.three_phase), (0.3, Anneal::Cos, false));
    assert_eq!((cycle.div_factor, cycle.final_div_factor), (25.0, 1e4));
    let cycles = Cyclic::new(0.1, 1.0, 2000);
    assert_eq!((cycles.step_size_down, cycles.mode, cycles.gamma), (None, CyclicMode::Triangular, 1.0));
    let plateau = ReduceOnPlateau {
        lr: 1.0,
        mode: Mode::Min,
        factor: 0.1,
        patience: 10,
        threshold: 1e-4,
        threshold_mode: ThresholdMode::Rel,
        cooldown: 0,
        min_lr: 0.0,
        eps: 1e-8,
        best: None,
        num_bad_epochs: 0,
        cooldown_counter: 0,
    };
    assert_eq!(serde_json::from_str::<ReduceOnPlateau>(r#"{"lr": 1}"#).unwrap(), plateau);
    assert_eq!(ReduceOnPlateau::new(1.0), plateau);
}

#[test]
fn unknown_and_missing_options_are_errors() {
    for (text, word) in [
        (r#"{"schedule": "StepLR", "lr": 1, "step_size": 30, "T_max": 3}"#, "T_max"),
        (r#"{"schedule": "OneCycleLR", "max_lr": 1, "total_steps": 30, "lr": 3}"#, "lr"),
        (r#"{"schedule": "CosineAnnealingLR", "lr": 1, "t_max": 3}"#, "t_max"),
        (r#"{"schedule": "CosineAnnealingLR", "lr": 1}"#, "T_max"),
        (r#"{"schedule": "CosineAnnealingLR", "T_max": 1}"#, "lr"),
        (r#"{"schedule": "StepLR", "lr": 1, "step_size": -30}"#, "-30"),
        (r#"{"schedule": "CyclicLR", "base_lr": 1}"#, "max_lr"),
        (r#"{"schedule": "CyclicLR", "base_lr": 0, "max_lr": 1, "cycle_momentum": true}"#, "cycle_momentum"),
        (r#"{"schedule": "CyclicLR", "base_lr": 0, "max_lr": 1, "mode": "square"}"#, "square"),
        (r#"{"schedule": "ChainedScheduler", "parts": []}"#, "lr"),
        (r#"{"schedule": "ChainedScheduler", "lr": 1}"#, "parts"),
        (r#"{"schedule": "LambdaLR", "lr": 1}"#, "LambdaLR"),
        (r#"{"lr": 1}"#, "schedule"),
        (r#"{"schedule": "OneCycleLR", "max_lr": 1, "total_steps": 3, "anneal_strategy": "log"}"#, "log"),
        (r#"{"schedule": "Warmup", "steps": 3, "then": {"schedule": "StepLR", "lr": 1}}"#, "step_size"),
    ] {
        let error = serde_json::from_str::<Schedule>(text).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
    for (text, word) in [(r#"{"lr": 1, "gamma": 2}"#, "gamma"), (r#"{"lr": 1, "mode": "best"}"#, "best")] {
        let error = serde_json::from_str::<ReduceOnPlateau>(text).unwrap_err();
        assert!(error.to_string().contains(word), "{text}: {error}");
    }
}

#[test]
fn a_plateau_goes_on_where_it_was_saved() {
    let mut straight =
        ReduceOnPlateau { factor: 0.9, patience: 1, cooldown: 2, eps: 0.0, ..ReduceOnPlateau::new(0.1) };
    let mut resumed = straight;
    for epoch in 0..200 {
        let metric = 1.0 / (1.0 + f64::from(epoch % 37));
        resumed = serde_json::from_str(&serde_json::to_string(&resumed).unwrap()).unwrap();
        assert_eq!(straight.step(metric).to_bits(), resumed.step(metric).to_bits());
        assert_eq!(straight, resumed);
    }
    assert!(straight.lr < 0.01);
}

#[test]
fn a_metric_that_is_no_number_is_no_improvement() {
    for mode in [Mode::Min, Mode::Max] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut plateau = ReduceOnPlateau { mode, factor: 0.5, patience: 1, ..ReduceOnPlateau::new(1.0) };
            let lrs = [bad, bad, 3.0, bad, bad, 3.0, 3.0].map(|metric| plateau.step(metric));
            assert_eq!(lrs, [1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]);
            assert_eq!(plateau.best, Some(3.0));
        }
    }
    let patient =
        ReduceOnPlateau { patience: u64::MAX, num_bad_epochs: u64::MAX, ..ReduceOnPlateau::new(1.0) };
    let mut still = patient;
    assert!(still.step(f64::NAN) == 1.0);
    assert_eq!(still, patient);
}

fn lr() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(LARGEST), 1e-6..1.0, (-300.0..38.5).prop_map(|x: f64| 10_f64.powf(x)),]
}

fn unit() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), Just(0.3), 0.0..1.0, (-300.0..0.0).prop_map(|x: f64| 10_f64.powf(x))]
}

fn gamma() -> impl Strategy<Value = f64> {
    prop_oneof![unit(), unit().prop_map(|x| 1.0 - x * 1e-3), lr()]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..4, 0_u64..1000, any::<u64>().prop_map(|n| n >> (n % 64)), any::<u64>(), Just(u64::MAX)]
}

fn anneal() -> impl Strategy<Value = Anneal> {
    prop_oneof![Just(Anneal::Cos), Just(Anneal::Linear), Just(Anneal::Sqrt)]
}

fn one_cycle() -> impl Strategy<Value = OneCycle> {
    (lr(), count(), unit(), anneal(), lr(), lr(), any::<bool>()).prop_map(
        |(max_lr, total_steps, pct_start, anneal_strategy, div, final_div_factor, three_phase)| OneCycle {
            max_lr,
            total_steps,
            pct_start: if three_phase { pct_start / 2.0 } else { pct_start },
            anneal_strategy,
            div_factor: 1.0 + div / 2.0,
            final_div_factor,
            three_phase,
        },
    )
}

fn cyclic() -> impl Strategy<Value = Cyclic> {
    let mode = prop_oneof![Just(CYCLIC_MODES[0]), Just(CYCLIC_MODES[1]), Just(CYCLIC_MODES[2])];
    let gamma = prop_oneof![unit(), unit().prop_map(|x| 1.0 - x * 1e-3)];
    (lr(), unit(), count(), proptest::option::of(count()), mode, gamma).prop_map(
        |(max_lr, x, step_size_up, step_size_down, mode, gamma)| Cyclic {
            base_lr: max_lr * x,
            max_lr,
            step_size_up,
            step_size_down,
            mode,
            gamma,
        },
    )
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let leaf = prop_oneof![
        (lr(), unit(), count()).prop_map(|(lr, factor, total_iters)| Schedule::Constant {
            lr,
            factor,
            total_iters
        }),
        (lr(), unit(), unit(), count()).prop_map(|(lr, start_factor, end_factor, total_iters)| {
            Schedule::Linear { lr, start_factor, end_factor, total_iters }
        }),
        (lr(), count(), gamma()).prop_map(|(lr, size, gamma)| Schedule::step(lr, size, gamma)),
        (lr(), proptest::collection::vec(count(), 0..5), gamma())
            .prop_map(|(lr, milestones, gamma)| Schedule::multi_step(lr, milestones, gamma)),
        (lr(), gamma()).prop_map(|(lr, gamma)| Schedule::exponential(lr, gamma)),
        (lr(), count(), gamma()).prop_map(|(lr, steps, power)| Schedule::polynomial(lr, steps, power)),
        (lr(), count(), unit()).prop_map(|(lr, t_max, x)| Schedule::Cosine { lr, t_max, eta_min: lr * x }),
        (lr(), count(), count(), unit()).prop_map(|(lr, t_0, t_mult, x)| Schedule::CosineWarmRestarts {
            lr,
            t_0,
            t_mult,
            eta_min: lr * x
        }),
        one_cycle().prop_map(Schedule::from),
        cyclic().prop_map(Schedule::from),
        (lr(), count()).prop_map(|(lr, timescale)| Schedule::inverse_sqrt(lr, timescale)),
        (lr(), [count(), count(), count()], unit(), anneal()).prop_map(
            |(lr, [warmup_steps, stable_steps, decay_steps], x, decay)| Schedule::WarmupStableDecay {
                lr,
                warmup_steps,
                stable_steps,
                decay_steps,
                eta_min: lr * x,
                decay,
            }
        ),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (count(), unit(), inner.clone()).prop_map(|(steps, start_factor, then)| Schedule::Warmup {
                steps,
                start_factor,
                then: Box::new(then)
            }),
            proptest::collection::vec((inner.clone(), count()), 1..4).prop_map(Schedule::sequence),
            (lr(), proptest::collection::vec(inner, 1..4))
                .prop_map(|(lr, parts)| Schedule::chained(lr, parts)),
        ]
    })
    .prop_filter("valid", |schedule| schedule.check().is_ok())
}

/// What a learning rate may be, from the meaning of the options alone.
fn bounds(schedule: &Schedule) -> (f64, f64) {
    let join = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
    match *schedule {
        Schedule::Constant { lr, factor, .. } => (lr * factor, lr),
        Schedule::Linear { lr, start_factor: a, end_factor: b, .. } => (lr * a.min(b), lr * a.max(b)),
        Schedule::Step { lr, gamma, .. }
        | Schedule::MultiStep { lr, gamma, .. }
        | Schedule::Exponential { lr, gamma } => match gamma {
            ..=1.0 => (0.0, lr),
            _ if lr == 0.0 => (0.0, 0.0),
            _ => (lr, LARGEST),
        },
        Schedule::Polynomial { lr, .. } | Schedule::InverseSqrt { lr, .. } => (0.0, lr),
        Schedule::Cosine { lr, eta_min, .. } | Schedule::CosineWarmRestarts { lr, eta_min, .. } => {
            (eta_min, lr)
        }
        Schedule::OneCycle(OneCycle { max_lr, div_factor, final_div_factor, .. }) => {
            let first = max_lr / div_factor;
            (first.min(first / final_div_factor), max_lr)
        }
        Schedule::Cyclic(Cyclic { base_lr, max_lr, .. }) => (base_lr, max_lr),
        Schedule::WarmupStableDecay { lr, warmup_steps, eta_min, .. } => {
            (if warmup_steps > 0 { 0.0 } else { eta_min }, lr)
        }
        Schedule::Warmup { start_factor, ref then, .. } => {
            let peak = then.lr(0);
            join((peak * start_factor, peak), bounds(then))
        }
        Schedule::Sequence { ref parts } => {
            parts.iter().map(|(part, _)| bounds(part)).reduce(join).expect("a part")
        }
        Schedule::Chained { lr, ref parts } => {
            let (low, high) = parts
                .iter()
                .map(bounds)
                .fold((lr, lr), |product, part| (product.0 * part.0, product.1 * part.1));
            (low.min(LARGEST), high.min(LARGEST))
        }
        ref other => panic!("no bounds for {other:?}"),
    }
}

/// The numbers of a schedule or a plateau that have a fraction, each with its name.
fn floats(value: &mut Value) -> Vec<(String, &mut f64)> {
    match value {
        Value::Array(items) => items.iter_mut().flat_map(floats).collect(),
        Value::Map(items) => items
            .iter_mut()
            .flat_map(|(key, value)| match value {
                Value::Float(x) => vec![(key.as_text().unwrap().to_owned(), x)],
                other => floats(other),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Puts what is no finite number, which CBOR can carry, in the place of every number, one after the other.
fn refuses_all_but_finite_numbers<T>(good: &T, check: impl Fn(&T) -> Result<(), Error>) -> usize
where
    T: serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    check(good).unwrap();
    let mut written = Value::serialized(good).unwrap();
    let numbers = floats(&mut written).len();
    for number in 0..numbers {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut value = written.clone();
            let (name, place) = floats(&mut value).swap_remove(number);
            *place = bad;
            let read: T = value.deserialized().unwrap();
            match check(&read) {
                Err(Error::Hyperparameter { name: named, found, .. }) => {
                    assert_eq!((named, found.to_bits()), (&*name, bad.to_bits()), "{read:?}");
                }
                other => panic!("{read:?}: {other:?}"),
            }
        }
    }
    numbers
}

/// What has a number in a file has none in a run.
#[test]
fn no_number_of_a_plateau_may_be_infinite_or_nan() {
    let plateau = ReduceOnPlateau { best: Some(0.5), ..ReduceOnPlateau::new(0.1) };
    assert_eq!(refuses_all_but_finite_numbers(&plateau, ReduceOnPlateau::check), 6);
}

/// Never rises; for powers but for their rounding, which grows with the step.
fn falling() -> impl Strategy<Value = (Schedule, f64)> {
    let steps = || count().prop_map(|n| n.max(1));
    prop_oneof![
        (lr(), unit(), steps()).prop_map(|(lr, end_factor, total_iters)| (
            Schedule::Linear { lr, start_factor: 1.0, end_factor, total_iters },
            0.0
        )),
        (lr(), steps(), unit())
            .prop_map(|(lr, t_max, x)| (Schedule::Cosine { lr, t_max, eta_min: lr * x }, 1e-15)),
        (lr(), steps(), 1_u8..5).prop_map(|(lr, n, power)| (Schedule::polynomial(lr, n, power.into()), 0.0)),
        (lr(), steps(), 0.01..5.0).prop_map(|(lr, n, power)| (Schedule::polynomial(lr, n, power), 1e-15)),
        (lr(), steps()).prop_map(|(lr, timescale)| (Schedule::inverse_sqrt(lr, timescale), 0.0)),
        (lr(), 0.0..0.999_999).prop_map(|(lr, gamma)| (Schedule::exponential(lr, gamma), 1e-9)),
        (lr(), steps(), 0.0..0.999_999).prop_map(|(lr, n, gamma)| (Schedule::step(lr, n, gamma), 1e-9)),
        (lr(), count(), count(), unit(), anneal()).prop_map(|(lr, stable_steps, decay_steps, x, decay)| {
            let (warmup_steps, eta_min) = (0, lr * x);
            let schedule =
                Schedule::WarmupStableDecay { lr, warmup_steps, stable_steps, decay_steps, eta_min, decay };
            (schedule, 1e-15)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_schedule_stays_within_its_bounds(schedule in schedule(), steps in [count(), count(), count()]) {
        let (low, high) = bounds(&schedule);
        for step in steps.into_iter().flat_map(|step| [step, step.saturating_add(1)]) {
            let lr = schedule.lr(step);
            prop_assert!((low..=high).contains(&lr), "step {step}: {lr} is not in {low}..={high}");
            prop_assert!((0.0..=LARGEST).contains(&lr), "step {step}: {lr}");
        }
    }

    #[test]
    fn no_number_of_a_schedule_may_be_infinite_or_nan(schedule in schedule()) {
        prop_assert!(refuses_all_but_finite_numbers(&schedule, Schedule::check) > 0);
    }

    #[test]
    fn any_schedule_reads_back_as_it_was_written(schedule in schedule(), step in count()) {
        let text = serde_json::to_string(&schedule).unwrap();
        let read: Schedule = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &schedule);
        prop_assert_eq!(read.lr(step).to_bits(), schedule.lr(step).to_bits());
    }

    #[test]
    fn what_falls_never_rises((schedule, slack) in falling(), a in count(), b in count()) {
        schedule.check().unwrap();
        for (a, b) in [(a.min(b), a.max(b)), (a, a.saturating_add(1))] {
            let (before, after) = (schedule.lr(a), schedule.lr(b));
            prop_assert!(after <= before + slack * schedule.lr(0), "{before} at {a}, {after} at {b}");
        }
    }

    #[test]
    fn a_warmup_never_falls(schedule in schedule(), start_factor in unit(), steps in count(), a in count(), b in count()) {
        let warm = Schedule::Warmup { steps, start_factor, then: Box::new(schedule) };
        let (a, b) = (a.min(b).min(steps), a.max(b).min(steps));
        prop_assert!(warm.lr(a) <= warm.lr(b), "{} at {a}, {} at {b}", warm.lr(a), warm.lr(b));
    }

    #[test]
    fn a_cycle_rises_and_then_falls(cycle in one_cycle(), a in count(), b in count()) {
        let schedule = Schedule::from(OneCycle { final_div_factor: 1.0 + cycle.final_div_factor / 2.0, ..cycle });
        prop_assume!(schedule.check().is_ok());
        let (a, b) = (a.min(b), a.max(b));
        let (before, after) = (schedule.lr(a), schedule.lr(b));
        let peak = cycle.pct_start * cycle.total_steps as f64 - 1.0;
        let slack = 1e-15 * cycle.max_lr;
        if b as f64 <= peak && b < cycle.total_steps - 1 {
            prop_assert!(before <= after + slack, "{before} at {a}, {after} at {b}");
        } else if a as f64 >= peak {
            prop_assert!(after <= before + slack, "{before} at {a}, {after} at {b}");
        }
    }

    #[test]
    fn any_plateau_only_falls_and_not_below_its_least(
        lr in lr(), factor in 0.0..1.0, patience in 0_u64..4, cooldown in 0_u64..4, min_lr in lr(), max in any::<bool>(),
        metrics in proptest::collection::vec(any::<f64>(), 0..60),
    ) {
        let mode = if max { Mode::Max } else { Mode::Min };
        let mut plateau =
            ReduceOnPlateau { mode, factor, patience, cooldown, min_lr, eps: 0.0, ..ReduceOnPlateau::new(lr) };
        let mut before = lr;
        for metric in metrics {
            let after = plateau.step(metric);
            prop_assert!(after <= before && (after >= min_lr || after.to_bits() == lr.to_bits()));
            prop_assert_eq!(plateau.check(), Ok(()));
            before = after;
        }
    }
}
