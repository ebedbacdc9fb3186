//! C with OpenMP, compiled when the program runs, for this CPU: textbook loops, and the ceiling of what memory gives.

use super::{About, Found, Peer, Run, time};
use crate::case::{Case, MAX_NORM, Work};
use crate::data::{Numbers, Placed, Streams, concat, scale};
use crate::truth::Coefficients;
use anyhow::{Context, Result, ensure};
use libloading::Library;
use std::ffi::c_int;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const NAME: &str = "C, OpenMP";
const FAST: &str = "C, OpenMP, -Ofast";
pub(crate) const CEILING: &str = "ceiling";

/// The loops as one writes them where there is one thread, though there are more.
const ALONE: &str = "C, one thread";

/// What the ceiling is the best of: how many bytes after each other the four streams begin in their pages, and whether these
/// are huge.
const LAYOUTS: [(usize, bool); 4] = [(0, false), (512, false), (832, false), (512, true)];

#[repr(C)]
struct Tensor {
    len: usize,
    p: *mut f32,
    g: *const f32,
    m: *mut f32,
    v: *mut f32,
}

type Loop = unsafe extern "C" fn(*const Tensor, usize, *const Coefficients, f32, c_int);
type Squared = unsafe extern "C" fn(*const Tensor, usize, c_int) -> f64;

struct Functions {
    adamw: Loop,
    adamw_scaled: Loop,
    squared: Squared,
    move_memory: Loop,
    compiler: String,
}

#[derive(Clone)]
struct C {
    name: &'static str,
    flags: &'static str,
    functions: Rc<Functions>,
    threads: usize,
    /// Of the ceiling.
    layout: Option<(usize, bool)>,
}

pub(crate) fn all(threads: usize) -> Vec<Found> {
    const EXACT: &str = "-O3 -ffp-contract=off -fno-math-errno";
    let peer = |name, flags: &'static str, layout| {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let functions = compile(&compiler, flags).map(Rc::new)?;
        Ok(C { name, flags, functions, threads, layout })
    };
    let boxed = |name, peer: Result<C>| (name, peer.map(|peer| Box::new(peer) as Box<dyn Peer>));
    let exact: Result<C> = peer(NAME, EXACT, None);
    let ceilings = LAYOUTS.map(|layout| match &exact {
        Ok(peer) => (CEILING, Ok(Box::new(C { name: CEILING, layout: Some(layout), ..peer.clone() }) as _)),
        Err(why) => (CEILING, Err(anyhow::anyhow!("{why:#}"))),
    });
    let fast = boxed(FAST, peer(FAST, "-Ofast", None));
    let alone = exact.as_ref().ok().filter(|_| threads > 1);
    let alone = alone.map(|peer| boxed(ALONE, Ok(C { name: ALONE, threads: 1, ..peer.clone() })));
    [boxed(NAME, exact), fast].into_iter().chain(alone).chain(ceilings).collect()
}

/// Linked apart from `-Ofast`: with it, a library would set the whole process to treat subnormal numbers as zeros.
fn compile(compiler: &str, flags: &str) -> Result<Functions> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("c.c"), include_str!("c.c"))?;
    let run = |command: &mut Command| -> Result<String> {
        let output = command.output().with_context(|| format!("{compiler} cannot be run"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{compiler}: {}", errors.lines().last().unwrap_or("failed"));
        Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
    };
    let cc = || Command::new(compiler);
    let always = ["-march=native", "-fopenmp", "-fPIC", "-c", "-o"];
    run(cc().args(flags.split(' ')).args(always).args([file("c.o"), file("c.c")]))?;
    run(cc().args(["-shared", "-fopenmp", "-o"]).args([file("c.so"), file("c.o")]).arg("-lm"))?;
    let compiler = run(cc().arg("--version"))?;
    // SAFETY: it has no initialization of its own, the types are those of the source, and it stays loaded.
    unsafe {
        let library: &Library = Box::leak(Box::new(Library::new(file("c.so"))?));
        Ok(Functions {
            adamw: *library.get::<Loop>(b"adamw")?,
            adamw_scaled: *library.get::<Loop>(b"adamw_scaled")?,
            squared: *library.get::<Squared>(b"squared")?,
            move_memory: *library.get::<Loop>(b"move_memory")?,
            compiler,
        })
    }
}

impl Peer for C {
    fn about(&self) -> About {
        About {
            name: self.name,
            version: format!("{} {} -march=native", self.functions.compiler, self.flags),
            clips: true,
            spins: self.threads > 1,
            steps: self.layout.is_none(),
            ..About::default()
        }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run + '_>> {
        let streams = match self.layout {
            None => Streams::new(numbers),
            Some(layout) => laid_out(numbers, layout)?,
        };
        Ok(Box::new(Calls { peer: self, clip: case.work == Work::Clip, streams, t: 0 }))
    }
}

fn laid_out(numbers: &Numbers, (apart, huge): (usize, bool)) -> Result<Streams> {
    let place = |offset: usize, tensor: &Vec<f32>| match huge {
        true => Placed::huge(offset, tensor),
        false => Ok(Placed::at(offset, tensor.iter().copied())),
    };
    let stream = |k: usize| -> Result<Vec<_>> {
        numbers.params.iter().map(|tensor| place(k * apart, tensor)).collect()
    };
    Ok(Streams { params: stream(0)?, grads: stream(1)?, m: stream(2)?, v: stream(3)? })
}

struct Calls<'a> {
    peer: &'a C,
    clip: bool,
    streams: Streams,
    t: u64,
}

impl Run for Calls<'_> {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        let C { functions, threads, layout, .. } = self.peer;
        // A C program has such a list lying about.
        let tensors = self.streams.each().map(|(p, g, m, v)| Tensor {
            len: p.len(),
            p: p.as_mut_ptr(),
            g: g.as_ptr(),
            m: m.as_mut_ptr(),
            v: v.as_mut_ptr(),
        });
        let tensors: Vec<_> = tensors.collect();
        let (list, tensors, threads) = (tensors.as_ptr(), tensors.len(), *threads as c_int);
        time(count, || {
            self.t += 1;
            let c = Coefficients::at(self.t);
            // SAFETY: the list has as many tensors, and these have the length of all of their slices, which nothing else
            // touches meanwhile.
            unsafe {
                let (function, factor) = if layout.is_some() {
                    (functions.move_memory, 1.0)
                } else if self.clip {
                    let norm = (functions.squared)(list, tensors, threads).sqrt();
                    (functions.adamw_scaled, if norm > MAX_NORM { (MAX_NORM / norm) as f32 } else { 1.0 })
                } else {
                    (functions.adamw, 1.0)
                };
                function(list, tensors, &raw const c, factor, threads);
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

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn what_cannot_be_compiled_is_absent_with_its_reason() {
        let why = |compiler, flags| {
            compile(compiler, flags).err().map(|why| format!("{why:#}")).unwrap_or_default()
        };
        assert!(why("no-such-compiler", "-O3").starts_with("no-such-compiler cannot be run: "));
        assert!(why("false", "-O3").contains("failed"));
    }
}
