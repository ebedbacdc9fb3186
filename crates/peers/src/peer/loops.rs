//! What one writes in Rust without a library: a loop, and a loop over rayon.

use super::{About, Found, Peer, Run, time};
use crate::case::{Case, MAX_NORM, Work};
use crate::data::{Numbers, Streams, concat, scale};
use crate::truth::Coefficients;
use anyhow::Result;
use rayon::prelude::*;
use std::time::Duration;

#[derive(Clone, Copy)]
struct Loop {
    name: &'static str,
    parallel: bool,
}

pub(crate) fn all() -> Vec<Found> {
    let loops = [("plain loop", false), ("rayon loop", true)];
    loops.map(|(name, parallel)| (name, Ok(Box::new(Loop { name, parallel }) as Box<dyn Peer>))).into()
}

impl Peer for Loop {
    fn about(&self) -> About {
        About {
            name: self.name,
            version: format!("for any {}", std::env::consts::ARCH),
            clips: true,
            ..About::default()
        }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
        let streams = Streams::new(numbers);
        Ok(Box::new(Looping { parallel: self.parallel, clip: case.work == Work::Clip, streams, t: 0 }))
    }
}

struct Looping {
    parallel: bool,
    clip: bool,
    streams: Streams,
    t: u64,
}

impl Run for Looping {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        time(count, || {
            self.t += 1;
            let c = Coefficients::at(self.t);
            if self.clip {
                let factor = self.clip_factor();
                self.each(|p, g, m, v| update(&c, p, factor * g, m, v));
            } else {
                self.each(|p, g, m, v| update(&c, p, g, m, v));
            }
            Ok(())
        })
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        scale(&mut self.streams.grads, factor);
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        Ok(concat(&self.streams.params))
    }
}

impl Looping {
    #[inline(always)]
    fn each(&mut self, update: impl Fn(&mut f32, f32, &mut f32, &mut f32) + Sync) {
        for (p, g, m, v) in self.streams.each() {
            if self.parallel {
                let elements = p.par_iter_mut().zip(g).zip(m).zip(v);
                elements.for_each(|(((p, &g), m), v)| update(p, g, m, v));
            } else {
                let elements = p.iter_mut().zip(g).zip(m).zip(v);
                elements.for_each(|(((p, &g), m), v)| update(p, g, m, v));
            }
        }
    }

    fn clip_factor(&self) -> f32 {
        let square = |&g: &f32| f64::from(g) * f64::from(g);
        let of_tensor = |grads: &[f32]| match self.parallel {
            false => grads.iter().map(square).sum::<f64>(),
            true => grads.par_iter().map(square).sum::<f64>(),
        };
        let norm = self.streams.grads.iter().map(|grads| of_tensor(grads)).sum::<f64>().sqrt();
        if norm > MAX_NORM { (MAX_NORM / norm) as f32 } else { 1.0 }
    }
}

#[inline(always)]
fn update(c: &Coefficients, p: &mut f32, g: f32, m: &mut f32, v: &mut f32) {
    *m += c.rest1 * (g - *m);
    *v = c.beta2 * *v + c.rest2 * g * g;
    *p = *p - c.decay * *p - c.lr * *m / (v.sqrt() + c.eps);
}
