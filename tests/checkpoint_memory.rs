//! Saving and loading take no memory for a second copy of the state. In processes of their own.

fn main() {
    #[cfg(all(target_os = "linux", feature = "checkpoint"))]
    linux::main();
    #[cfg(not(all(target_os = "linux", feature = "checkpoint")))]
    println!("skipped: it needs Linux and feature `checkpoint`");
}

#[cfg(all(target_os = "linux", feature = "checkpoint"))]
mod linux {
    use lanestep::checkpoint::{Checkpoint, Snapshot};
    use lanestep::{AdamW, Optimizer, Tensor};
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    const MIB: usize = 1 << 20;
    /// Two slots of 128 MiB.
    const LEN: usize = 32 * MIB;
    const STATE: usize = 8 * LEN;
    /// What may be taken besides.
    const SPARE: usize = 16 * MIB;
    /// Which child it is.
    const CHILD: &str = "LANESTEP_CHECKPOINT_MEMORY_TEST";

    pub(super) fn main() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory.safetensors");
        match env::var(CHILD).as_deref() {
            Ok("save") => return save(&path),
            Ok("load") => return load(&path),
            other => assert!(other.is_err(), "{other:?} is no child"),
        }
        child("save");
        child("load");
        fs::remove_file(path).unwrap();
        println!("test result: ok. 2 passed; 0 failed");
    }

    fn child(name: &str) {
        let status = Command::new(env::current_exe().unwrap()).env(CHILD, name).status();
        assert!(status.unwrap().success(), "{name}");
    }

    /// In bytes: a number of the process's status.
    fn memory(key: &str) -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches([':', '\t', ' ', 'k', 'B']).parse::<usize>().unwrap() * 1024
    }

    /// The most memory that there was meanwhile, but what there was before.
    fn growth(what: &str, of: impl FnOnce(), allowed: usize) {
        // Now counted from here.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS");
        of();
        let grown = memory("VmHWM") - before;
        println!("{what} a state of {} MiB and its parameters: {} KiB", STATE / MIB, grown / 1024);
        assert!(grown <= allowed, "more than {} KiB", allowed / 1024);
    }

    fn save(path: &Path) {
        let mut optimizer = Optimizer::new(AdamW::default(), LEN).unwrap();
        let mut params = vec![0.5; LEN];
        optimizer.set_state("exp_avg", &params).unwrap();
        optimizer.set_state("exp_avg_sq", &params).unwrap();
        let tensors = [Tensor::of(&mut params)];
        growth("to save", || Snapshot::of(&optimizer).params(&tensors).save(path).unwrap(), SPARE);
    }

    fn load(path: &Path) {
        let (mut loaded, mut params) = (None, vec![1.0; LEN]);
        let load = || {
            let mut checkpoint = Checkpoint::open(path).unwrap();
            checkpoint.verify().unwrap();
            loaded = Some(checkpoint.optimizer::<AdamW>(LEN).unwrap());
            checkpoint.params(&mut [Tensor::of(&mut params)]).unwrap();
        };
        growth("to load", load, STATE + SPARE);
        let loaded = loaded.unwrap();
        let last = [&params, loaded.state("exp_avg").unwrap()].map(|numbers| numbers[LEN - 1].to_bits());
        assert_eq!(last, [0.5_f32.to_bits(); 2]);
    }
}
