//! Whenever a process that saves is killed, its last complete checkpoint loads. In processes of their own.

fn main() {
    #[cfg(all(unix, feature = "checkpoint"))]
    unix::main();
    #[cfg(not(all(unix, feature = "checkpoint")))]
    println!("skipped: it needs Unix and feature `checkpoint`");
}

#[cfg(all(unix, feature = "checkpoint"))]
mod unix {
    use lanestep::checkpoint::{Checkpoint, Snapshot};
    use lanestep::{AdamW, Optimizer, Tensor};
    use std::io::{Read, Write, stdout};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use std::{env, fs, thread};

    const CHILD: &str = "LANESTEP_KILLED_TEST";
    const KILLS: usize = 200;
    /// For a file of 600 KB.
    const LEN: usize = 50_000;

    // What a child says of each of its saves.
    const BEGUN: u8 = b'(';
    const CHUNK: u8 = b'.';
    const SAVED: u8 = b')';
    /// So many: two slots, their steps, the parameters, what was added, the checksum of the header.
    const CHUNKS: usize = 6;

    pub(super) fn main() {
        if let Some(path) = env::var_os(CHILD) {
            return save_until_killed(path.as_ref());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        the_last_complete_checkpoint_loads(&folder);
        fs::remove_dir_all(&folder).unwrap();
        println!("test result: ok. 1 passed; 0 failed");
    }

    fn the_last_complete_checkpoint_loads(folder: &Path) {
        let files = || fs::read_dir(folder).unwrap().count();
        let path = folder.join("run.safetensors");
        let mut named = false;
        save(0, &path, || named |= files() > 0);

        let (mut random, mut round, mut left) = (fastrand::Rng::with_seed(1), 0, 0);
        let [mut between, mut before, mut among, mut behind] = [0; 4];
        for _ in 0..KILLS {
            let mut child = Command::new(env::current_exe().unwrap());
            let mut child = child.env(CHILD, &path).stdout(Stdio::piped()).spawn().unwrap();
            let mut said = vec![0; random.usize(1..=CHUNKS + 4)];
            let mut out = child.stdout.take().unwrap();
            out.read_exact(&mut said).unwrap();
            thread::sleep(Duration::from_micros(1 << random.u32(..13)));
            child.kill().unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(9), "it saves until it is killed");
            out.read_to_end(&mut said).unwrap();

            let count = |what| said.iter().filter(|&&x| x == what).count() as u64;
            let (begun, saved) = (round + count(BEGUN), round + count(SAVED));
            let found = round_of(&path);
            assert!((saved..=begun).contains(&found), "{found} is there, but {saved} of {begun} are saved");
            assert!(begun - saved <= 1);
            round = found;
            left = files() - 1;
            match said.iter().rev().take_while(|&&x| x == CHUNK).count() {
                _ if begun == saved => between += 1,
                0 => before += 1,
                CHUNKS => behind += 1,
                _ => among += 1,
            }
        }
        println!(
            "{KILLS} kills in {round} saves: {between} between two; of one, {before} before its first chunk,"
        );
        println!("{among} among its chunks, {behind} behind its last");
        assert!(before + among + behind > KILLS / 2 && before + among > KILLS / 20 && behind > KILLS / 20);

        let had = if named { "names from the beginning" } else { "none while they were written" };
        println!("{left} temporary files are left, which had {had}");
        assert!(left <= if named { KILLS } else { behind });
    }

    fn save_until_killed(path: &Path) {
        let tell = |what| {
            stdout().write_all(&[what]).unwrap();
            stdout().flush().unwrap();
        };
        for round in round_of(path) + 1.. {
            tell(BEGUN);
            save(round, path, || tell(CHUNK));
            tell(SAVED);
        }
    }

    /// Numbers that are in no other round.
    fn save(round: u64, path: &Path, mut at_chunk: impl FnMut() + Send) {
        let mut optimizer = Optimizer::new(AdamW::default(), LEN).unwrap();
        let mut params = vec![round as f32; LEN];
        optimizer.set_steps(round);
        optimizer.set_state("exp_avg", &params).unwrap();
        optimizer.set_state("exp_avg_sq", &params).unwrap();
        let tensors = [Tensor::of(&mut params)];
        let snapshot = Snapshot::of(&optimizer).params(&tensors).extra(&round);
        snapshot.on_progress(|_, _| at_chunk()).save(path).unwrap();
    }

    /// Whose numbers all that is there are.
    fn round_of(path: &Path) -> u64 {
        let mut checkpoint = Checkpoint::open(path).unwrap();
        let optimizer: Optimizer<AdamW> = checkpoint.optimizer(LEN).unwrap();
        let mut params = vec![0.0; LEN];
        checkpoint.params(&mut [Tensor::of(&mut params)]).unwrap();
        let round = optimizer.steps();
        assert_eq!(checkpoint.extra::<u64>().unwrap(), round);
        for numbers in [&params, optimizer.state("exp_avg").unwrap(), optimizer.state("exp_avg_sq").unwrap()]
        {
            assert!(numbers == vec![round as f32; LEN]);
        }
        round
    }
}
