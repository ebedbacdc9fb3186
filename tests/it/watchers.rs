//! The small values beside a training loop: loss scale, health, stopping.

use lanestep::{Error, Gradients, Health, LossScaler, Pipeline, Report, Stopping, Update};

fn report(norm: f64, non_finite: u64) -> Report {
    let first_non_finite = (non_finite > 0).then_some(0);
    Report {
        grads: Some(Gradients { norm, max_abs: norm, non_finite, first_non_finite }),
        clip_factor: 1.0,
        skipped: non_finite > 0,
        update: None,
    }
}

/// The numbers of `torch.amp.GradScaler`'s defaults: 65536, doubled after 2000 clean steps in a row, halved at once.
#[test]
fn the_loss_scale_moves_as_pytorchs() {
    let mut scaler = LossScaler::default();
    let mut after = |clean: u32, overflows: u32| {
        (0..clean).for_each(|_| scaler.update(&report(1.0, 0)));
        (0..overflows).for_each(|_| scaler.update(&report(f64::NAN, 3)));
        (scaler.scale, scaler.clean_steps)
    };
    assert_eq!(after(0, 1), (32768.0, 0));
    assert_eq!(after(1999, 0), (32768.0, 1999));
    assert_eq!(after(1, 0), (65536.0, 0));
    assert_eq!(after(4000, 0), (262_144.0, 0));
    assert_eq!(after(1999, 1), (131_072.0, 0));
    assert_eq!(after(1, 16), (2.0, 0));
    assert_eq!((LossScaler { scale: 4.0, ..scaler }).unscale(), 0.25);
}

#[test]
fn the_loss_scale_stays_a_number() {
    let mut scaler = LossScaler { growth_interval: 1, ..LossScaler::default() };
    (0..2000).for_each(|_| scaler.update(&report(1.0, 0)));
    assert_eq!(scaler.scale, 2_f64.powi(127), "the last power of two that is finite in f32");
    (0..5000).for_each(|_| scaler.update(&report(1.0, 1)));
    assert_eq!(scaler.check(), Ok(()));
    let pipeline = Pipeline { scale: scaler.unscale(), ..Pipeline::default() };
    assert_eq!(pipeline.check(), Ok(()), "a step accepts what the scaler asks for");
    let before = scaler;
    scaler.update(&Report { grads: None, ..report(0.0, 0) });
    assert_eq!(scaler, before, "nothing measured, nothing learned");
    let good = LossScaler::default();
    assert_eq!(good.check(), Ok(()));
    for (expected, bad) in [
        ("scale", LossScaler { scale: 1e-39, ..good }),
        ("scale", LossScaler { scale: f64::NAN, ..good }),
        ("growth_factor", LossScaler { growth_factor: 1.0, ..good }),
        ("growth_factor", LossScaler { growth_factor: f64::INFINITY, ..good }),
        ("backoff_factor", LossScaler { backoff_factor: 1.0, ..good }),
        ("backoff_factor", LossScaler { backoff_factor: 0.0, ..good }),
        ("growth_interval", LossScaler { growth_interval: 0, ..good }),
    ] {
        assert!(
            matches!(bad.check(), Err(Error::Hyperparameter { name, .. }) if name == expected),
            "{bad:?}"
        );
    }
}

#[test]
fn stopping_waits_for_progress_of_more_than_the_tolerance() {
    let when = |mut stopping: Stopping, values: &[f64]| values.iter().position(|&x| stopping.observe(x));
    let stopping = Stopping { patience: 2, tolerance: 0.1, ..Stopping::default() };
    assert_eq!(when(stopping, &[1.0, 0.95, 0.8, 0.75, 0.72, 0.1]), Some(4));
    assert_eq!(when(stopping, &[1.0, 0.8, 0.8, 0.6, 0.6, 0.4]), None);
    assert_eq!(when(stopping, &[f64::NAN, f64::NAN]), Some(1));
    assert_eq!(when(stopping, &[f64::NAN, 3.0, f64::NAN, 2.0]), None);
    assert_eq!(when(Stopping { goal: Some(0.5), ..stopping }, &[1.0, 0.6, 0.5]), Some(2));
    for patience in [0, 1] {
        let hasty = Stopping { patience, tolerance: 0.0, ..stopping };
        assert_eq!(hasty.check(), Ok(()));
        assert_eq!(when(hasty, &[3.0, 2.0, 1.0, 1.0, 0.0]), Some(3), "the first without progress");
        assert_eq!(when(hasty, &[f64::NAN]), Some(0));
    }
    // A checkpoint of one that has waited for long enough, and goes on nevertheless.
    assert_eq!(when(Stopping { best: Some(1.0), waited: 7, ..stopping }, &[0.5, 0.5, 0.5]), Some(2));
    for (expected, bad) in [
        ("tolerance", Stopping { tolerance: -1.0, ..stopping }),
        ("tolerance", Stopping { tolerance: f64::NAN, ..stopping }),
        ("goal", Stopping { goal: Some(f64::NAN), ..stopping }),
        ("best", Stopping { best: Some(f64::NAN), ..stopping }),
    ] {
        assert!(
            matches!(bad.check(), Err(Error::Hyperparameter { name, .. }) if name == expected),
            "{bad:?}"
        );
    }
}

#[test]
fn health_is_gathered_from_reports_alone() {
    let mut health = Health { decay: 0.5, ..Health::default() };
    assert!(!health.vanishing() && !health.exploding());
    for norm in [4.0, 2.0, 1.0] {
        health.record(&report(norm, 0));
    }
    // The mean of 4 and 2, and from there on half of the old and half of the new.
    assert_eq!((health.norm, health.last_norm, health.averaged), (Some(2.0), Some(1.0), (3, 0)));
    assert_eq!(
        (health.smallest_norm, health.largest_norm, health.largest_abs),
        (Some(1.0), Some(4.0), Some(4.0))
    );
    health.record(&report(f64::NAN, 7));
    assert!(health.spiked());
    assert_eq!((health.norm, health.non_finite, health.skipped, health.steps), (Some(2.0), 7, 1, 4));
    health.record(&Report { clip_factor: 0.1, ..report(2e3, 0) });
    assert!(health.spiked());
    assert_eq!(health.clipped, 1);
    (0..50).for_each(|_| health.record(&report(1e-9, 0)));
    assert!(!health.spiked());
    let update = Some(Update { norm: 0.5, params_norm: 2.0 });
    health.record(&Report { grads: None, update, ..report(0.0, 0) });
    assert_eq!((health.update_ratio, health.averaged.1), (Some(0.25), 1));
    let mut full = Health { steps: u64::MAX, averaged: (u64::MAX, u64::MAX), ..Health::default() };
    full.record(&Report { update, ..report(1.0, 0) });
    assert_eq!((full.steps, full.norm), (u64::MAX, Some(1.0)));
    health.record(&Report { clip_factor: f64::NAN, ..report(f64::NAN, 0) });
    assert_eq!(health.clipped, 1, "what is not a number has clipped nothing");
    let nowhere = Some(Update { norm: 0.0, params_norm: 0.0 });
    health.record(&Report { grads: None, update: nowhere, ..report(0.0, 0) });
    assert_eq!((health.update_ratio, health.steps), (Some(0.25), 58));
    for (expected, bad) in [
        ("decay", Health { decay: 1.0, ..health }),
        ("vanishing_below", Health { vanishing_below: f64::NAN, ..health }),
        ("exploding_above", Health { exploding_above: -1.0, ..health }),
        ("vanished", Health { vanished: f64::NAN, ..health }),
        ("exploded", Health { exploded: -1.0, ..health }),
    ] {
        assert!(
            matches!(bad.check(), Err(Error::Hyperparameter { name, .. }) if name == expected),
            "{bad:?}"
        );
    }
}

fn after(health: Health, norms: impl IntoIterator<Item = f64>) -> Health {
    norms.into_iter().fold(health, |mut health, norm| {
        health.record(&report(norm, u64::from(!norm.is_finite())));
        health
    })
}

#[test]
fn one_step_is_no_explosion_and_does_not_end_one() {
    let calm = after(Health::default(), [1.0; 50]);
    for norm in [1e30, f64::INFINITY, f64::NAN] {
        for health in [Health::default(), calm] {
            let spiked = after(health, [norm]);
            assert!(spiked.spiked() && !spiked.exploding());
            assert!(!after(spiked, [1.0]).spiked());
        }
        let ten = after(calm, [norm; 10]);
        assert!(!ten.exploding() && after(ten, [norm]).exploding(), "{norm}: after eleven in a row");
        let rarely = (0..2000).map(|step| if step % 20 == 0 { norm } else { 1.0 });
        assert!(!after(calm, rarely).exploding(), "{norm}: as a loss scale is found");
    }
    let climb = after(calm, (0..100).map(|step| 1.2_f64.powi(step)));
    assert!(climb.exploding() && after(climb, [1.0]).exploding() && !after(climb, [1.0]).spiked());
    assert!(!after(climb, [1.0; 300]).exploding(), "it is over");
    let never = Health { exploding_above: f64::INFINITY, ..calm };
    assert!(!after(never, [f64::MAX; 50]).exploding() && after(never, [f64::INFINITY; 50]).exploding());
    let forgetful = Health { decay: 0.0, ..calm };
    assert!(after(forgetful, [1e9]).exploding() && !after(forgetful, [1e9, 1.0]).exploding());
}

#[test]
fn gradients_vanish_however_large_they_were() {
    for before in [1.0, 1e30] {
        let calm = after(Health::default(), [before; 50]);
        let nearly = after(calm, [0.0; 229]);
        let vanishing = after(nearly, [1e-9]);
        assert!(!nearly.vanishing() && vanishing.vanishing());
        let long = after(vanishing, [0.0; 200]);
        assert!(after(long, [1.0]).vanishing() && !after(long, [1.0; 20]).vanishing());
        assert!(!after(calm, (0..2000).map(|step| f64::from(step % 2))).vanishing(), "every other step");
    }
}

#[test]
fn what_was_not_measured_changes_no_share() {
    let before = after(Health::default(), [1e9; 5]);
    let mut health = before;
    health.record(&Report { grads: None, ..report(0.0, 0) });
    assert_eq!(health, Health { steps: 6, ..before });
}

#[test]
fn health_edges() {
    let mut health = Health::default();
    health.record(&report(1e3, 0));
    assert!(!health.spiked(), "not above");
    let mut health = Health::default();
    health.record(&report(1e-7, 0));
    assert_eq!((health.vanished, health.exploded), (0.0, 0.0), "neither below nor above");
    let infinite = Update { norm: 1.0, params_norm: 0.0 };
    health.record(&Report { update: Some(infinite), ..report(f64::INFINITY, 1) });
    assert_eq!((health.update_ratio, health.largest_abs, health.averaged), (None, Some(1e-7), (1, 0)));
    let mut health = Health { decay: 0.5, ..Health::default() };
    for norm in [0.5, 1.0, 4.0] {
        health.record(&Report { update: Some(Update { norm, params_norm: 1.0 }), ..report(norm, 0) });
    }
    assert_eq!(
        (health.smallest_norm, health.largest_norm, health.largest_abs),
        (Some(0.5), Some(4.0), Some(4.0))
    );
    assert_eq!((health.update_ratio, health.averaged), (Some(2.375), (3, 3)));
}

#[test]
fn scaler_edges() {
    let mut scaler = LossScaler::default();
    scaler.update(&Report { skipped: false, ..report(f64::INFINITY, 1) });
    assert_eq!(scaler.scale, 32768.0);
    let largest = f64::from(f32::MAX);
    assert!((LossScaler { scale: largest * 2.0, ..LossScaler::default() }).check().is_err());
    assert!((LossScaler { growth_factor: 0.5, ..LossScaler::default() }).check().is_err());
    let mut scaler = LossScaler { scale: largest / 2.0, growth_interval: 1, ..LossScaler::default() };
    scaler.update(&report(1.0, 0));
    assert_eq!(scaler.scale, largest);
    let mut scaler = LossScaler { scale: f64::from_bits(1), ..LossScaler::default() };
    scaler.update(&report(1.0, 1));
    assert!(scaler.scale > 0.0);
}

#[test]
fn stopping_edges() {
    let mut stopping = Stopping { patience: 1, tolerance: 0.5, ..Stopping::default() };
    assert!(!stopping.observe(1.0) && stopping.observe(0.5));
}

#[test]
fn a_running_mean_begins_as_the_plain_one() {
    let mut health = Health::default();
    for (norm, mean) in [(4.0, 4.0), (2.0, 3.0), (1.5, 2.5), (6.5, 3.5)] {
        health.record(&report(norm, 0));
        assert!((health.norm.unwrap() - mean).abs() < 1e-12, "{health:?}");
    }
    let mut health = Health { decay: 0.5, ..Health::default() };
    for (norm, mean) in [(4.0, 4.0), (2.0, 3.0), (1.0, 2.0), (6.0, 4.0)] {
        health.record(&report(norm, 0));
        assert_eq!(health.norm, Some(mean));
    }
}

#[test]
fn progress_may_come_in_small_steps() {
    let mut stopping = Stopping { patience: 2, tolerance: 0.1, ..Stopping::default() };
    assert!([1.0, 0.95, 0.89, 0.85, 0.78].iter().all(|&x| !stopping.observe(x)));
}
