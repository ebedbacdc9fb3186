//! AdamW in C, as a peer's kernel: the machine's own compiler, with all the instructions of this CPU.

use super::tight::{Coefficients, Step, coefficients};
use libloading::Library;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

type AdamW =
    unsafe extern "C" fn(usize, *mut f32, *const f32, *mut f32, *mut f32, f32, f32, f32, f32, f32, f32);

/// `None` where there is no compiler or it knows no libraries that are loaded at run time.
static ADAMW: LazyLock<Option<AdamW>> = LazyLock::new(|| {
    // SAFETY: it has no initialization, the type is that of the source, and it stays loaded.
    unsafe {
        let library: &Library = Box::leak(Box::new(Library::new(compile()?).ok()?));
        library.get::<AdamW>(b"adamw").ok().map(|adamw| *adamw)
    }
});

fn compile() -> Option<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = cc::Build::new();
    build.cargo_metadata(false).opt_level(3).target(&target).host(&target).pic(true);
    // Each operation is rounded, as IEEE 754 has it; `sqrtf` need not set `errno`.
    for flag in ["-march=native", "-ffp-contract=off", "-fno-math-errno"] {
        build.flag(flag);
    }
    let mut command: Command = build.try_get_compiler().ok()?.to_command();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/step/c.c");
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("lanestep-adamw.so");
    command.args(["-shared", "-o"]).arg(&library).arg(source).arg("-lm");
    command.status().is_ok_and(|status| status.success()).then_some(library)
}

/// A step by the loop in C, if it can be had.
pub(crate) fn adamw() -> Option<Step> {
    ADAMW.is_some().then_some(step)
}

fn step(t: u64, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let Coefficients { decay, rest1, beta2, rest2, lr, eps } = coefficients(t);
    let n = p.len();
    assert_eq!([g.len(), m.len(), v.len()], [n; 3]);
    let adamw = ADAMW.expect("asked for before");
    // SAFETY: all slices have `n` elements.
    unsafe {
        adamw(
            n,
            p.as_mut_ptr(),
            g.as_ptr(),
            m.as_mut_ptr(),
            v.as_mut_ptr(),
            decay,
            rest1,
            beta2,
            rest2,
            lr,
            eps,
        );
    }
}
