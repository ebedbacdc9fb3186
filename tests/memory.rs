//! How much memory a copy takes, and what happens where there is none. In a process of its own, and another with a limit.

fn main() {
    #[cfg(target_os = "linux")]
    linux::main();
}

#[cfg(target_os = "linux")]
mod linux {
    use lanestep::{AdEmaMix, Adam, AnyRule, Buffer, Error, Format, Optimizer};
    use std::process::Command;

    const MIB: usize = 1 << 20;
    /// 256 MiB a slot.
    const LEN: usize = 64 * MIB;
    const CHILD: &str = "LANESTEP_MEMORY_TEST";

    pub(super) fn main() {
        if std::env::var_os(CHILD).is_some() {
            return too_little_is_an_error_and_nothing_has_changed();
        }
        a_copy_leaves_untouched_pages_untouched();
        another_format_leaves_untouched_pages_untouched();
        new_state_is_not_touched();
        a_step_takes_its_state_and_nothing_else();
        // In KiB: five slots, and half of one for what a process has anyway.
        let limit = (2 * 5 + 1) * 128 * 1024;
        let child = std::env::current_exe().expect("this test");
        let script = format!("ulimit -v {limit} && exec \"$0\"");
        let status = Command::new("sh").args(["-c", &script]).arg(child).env(CHILD, "1").status();
        assert!(status.expect("a shell").success(), "with little memory");
        println!("test result: ok. 5 passed; 0 failed");
    }

    /// In bytes.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/statm").expect("statistics of this process");
        status.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number of pages")
            * 4096
    }

    fn a_copy_leaves_untouched_pages_untouched() {
        let mut optimizer = Optimizer::new(Adam::default(), LEN).unwrap();
        let some: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        optimizer.set_ema(0.5).unwrap();
        let before = resident();
        let mut copies: Vec<_> = (0..3).map(|_| optimizer.try_clone().unwrap()).collect();
        copies.push(optimizer.clone());
        let mut buffer = Buffer::zeroed(LEN).unwrap();
        buffer[5000..6000].copy_from_slice(&some);
        let copy = buffer.try_clone().unwrap();
        // Reading what was never written maps the one page of zeros, which needs tables of a five-hundredth.
        let taken = resident() - before;
        assert!(taken < 32 * MIB, "{} MiB", taken / MIB);
        assert!(copy[5000..6000] == some && copy[..5000].iter().chain(&copy[6000..]).all(|&x| x == 0.0));
        assert!(copies.iter().all(|copy| copy.state("exp_avg").unwrap()[LEN - 1] == 0.0));
        println!("a copy of {} MiB takes {} KiB", 14 * 256, taken / 1024);
    }

    fn another_format_leaves_untouched_pages_untouched() {
        // Of one byte each, still more than what is kept to be taken again, which is zeroed by hand.
        const SOME: usize = LEN / 2 + MIB;
        let before = resident();
        for format in Format::all() {
            let mut optimizer = Optimizer::new(Adam::default(), SOME).unwrap();
            optimizer.set_state_format(None, *format).unwrap();
            optimizer.set_split(true).unwrap();
            let copy = optimizer.try_clone().unwrap();
            let taken = resident().saturating_sub(before);
            assert!(taken < 8 * MIB && copy.is_split(), "{format}: {} MiB", taken / MIB);
        }
    }

    fn new_state_is_not_touched() {
        const LEN: usize = 1 << 30;
        let before = resident();
        let optimizer = match Optimizer::new(Adam::default(), LEN) {
            Ok(optimizer) => optimizer,
            Err(error) => return println!("new state is not tested: {error}"),
        };
        let taken = resident().saturating_sub(before);
        assert!(taken < MIB && optimizer.len() == LEN, "{} KiB", taken / 1024);
        println!("8 GiB of new state take {} KiB", taken / 1024);
    }

    fn a_step_takes_its_state_and_nothing_else() {
        // The first time, for what else a step needs: code, and the pool's threads.
        for len in [100_000, 1_000_000, 9_999_999] {
            let (mut params, grads) = (vec![1.0; len], vec![0.5; len]);
            let before = resident();
            let mut optimizer = Optimizer::new(Adam::default(), len).unwrap();
            (0..3).for_each(|_| optimizer.step(&mut params, &grads).unwrap());
            let (taken, state) = (resident() - before, 2 * 4 * len);
            // A huge page of each slot is an eighth empty at most.
            let most = state + MIB / 2 + MIB / 8;
            assert!(len == 100_000 || (state..most).contains(&taken), "{taken} bytes for {state} of state");
        }
    }

    fn too_little_is_an_error_and_nothing_has_changed() {
        let mut optimizer = Optimizer::<AnyRule>::new(Adam::default().into(), LEN).unwrap();
        optimizer.set_ema(0.5).unwrap();
        assert_eq!(optimizer.try_clone().unwrap_err(), Error::Memory { slots: 1, len: LEN });
        // There is room for two more slots, and not for what moves from one into another.
        let error = optimizer.set_rule(0, AdEmaMix::default()).unwrap_err();
        assert_eq!(error, Error::Memory { slots: 1, len: LEN });
        assert_eq!(optimizer.rule(), &AnyRule::from(Adam::default()));
        assert!(optimizer.state("exp_avg").is_some() && optimizer.state("exp_avg_slow").is_none());
    }
}
