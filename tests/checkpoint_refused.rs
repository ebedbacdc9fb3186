//! A checkpoint that cannot be written is a typed error, and nothing on the disk has changed. Limits, users and disks that
//! other tests must not have are those of processes of their own.

fn main() {
    #[cfg(all(target_os = "linux", feature = "checkpoint"))]
    linux::main();
    #[cfg(not(all(target_os = "linux", feature = "checkpoint")))]
    println!("skipped: it needs Linux and feature `checkpoint`");
}

#[cfg(all(target_os = "linux", feature = "checkpoint"))]
mod linux {
    use lanestep::checkpoint::{Checkpoint, Error, Snapshot};
    use lanestep::{AdamW, Optimizer};
    use std::collections::BTreeMap;
    use std::env;
    use std::ffi::OsString;
    use std::fs::{self, Permissions};
    use std::io::{Cursor, ErrorKind};
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// Which child it is; its folder is the current one.
    const CHILD: &str = "LANESTEP_REFUSED_TEST";
    /// For a file of 800 KB.
    const LEN: usize = 100_000;
    const NOBODY: u32 = 65534;

    pub(super) fn main() {
        if let Some(child) = env::var_os(CHILD) {
            return match child.to_str() {
                Some("limit") => a_file_that_would_be_too_large(),
                Some("disk") => a_full_disk(),
                Some("umask") => a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(),
                Some("nobody") => no_permission(),
                other => panic!("{other:?} is no child"),
            };
        }
        no_such_folder();
        what_is_there_and_is_no_file();
        links_are_followed();
        // Without its signal, the limit is an error.
        in_shell("limit", "trap '' XFSZ && ulimit -f 512");
        in_shell("umask", "umask 026");
        on_a_small_disk();
        as_nobody();
        println!("test result: ok. 7 passed; 0 failed");
    }

    fn no_such_folder() {
        let folder = folder("no_such_folder");
        fs::write(folder.join("file"), "text").unwrap();
        refused(&folder, &folder.join("none/new"), ErrorKind::NotFound);
        refused(&folder, &folder.join("file/new"), ErrorKind::NotADirectory);
    }

    fn what_is_there_and_is_no_file() {
        let folder = folder("no_file");
        fs::create_dir(folder.join("folder")).unwrap();
        refused(&folder, &folder.join("folder"), ErrorKind::IsADirectory);
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        refused(&folder, &folder.join("socket"), ErrorKind::InvalidInput);
        symlink("folder", folder.join("link")).unwrap();
        refused(&folder, &folder.join("link"), ErrorKind::IsADirectory);
        symlink("circle", folder.join("circle")).unwrap();
        let circle = fs::read(folder.join("circle")).unwrap_err().kind();
        refused(&folder, &folder.join("circle"), circle);
    }

    fn links_are_followed() {
        let folder = folder("links");
        fs::create_dir(folder.join("there")).unwrap();
        symlink("middle", folder.join("link")).unwrap();
        symlink("there/file", folder.join("middle")).unwrap();
        // At first to nothing, then to a file.
        for _ in 0..2 {
            let optimizer = stepped(100);
            optimizer.save(folder.join("link")).unwrap();
            assert!(fs::symlink_metadata(folder.join("there/file")).unwrap().is_file());
            for link in ["link", "middle"] {
                assert!(fs::symlink_metadata(folder.join(link)).unwrap().is_symlink());
            }
            same(&optimizer, &Optimizer::load(folder.join("link"), 100).unwrap());
        }
        assert_eq!((contents(&folder).len(), contents(&folder.join("there")).len()), (3, 1));
    }

    fn a_file_that_would_be_too_large() {
        let folder = env::current_dir().unwrap();
        stepped(100).save(folder.join("old")).unwrap();
        refused(&folder, &folder.join("old"), ErrorKind::FileTooLarge);
        refused(&folder, &folder.join("new"), ErrorKind::FileTooLarge);
        stepped(100).save(folder.join("old")).unwrap();
    }

    /// Two have no room on it.
    fn a_full_disk() {
        let folder = env::current_dir().unwrap();
        stepped(LEN).save(folder.join("old")).unwrap();
        refused(&folder, &folder.join("old"), ErrorKind::StorageFull);
        refused(&folder, &folder.join("new"), ErrorKind::StorageFull);
        fs::remove_file(folder.join("old")).unwrap();
        stepped(LEN).save(folder.join("new")).unwrap();
    }

    fn on_a_small_disk() {
        let mount = "mount -t tmpfs -o size=1m lanestep \"$PWD\" && cd \"$PWD\"";
        let small = |then: &str| {
            let mut shell = Command::new("unshare");
            shell.args(["-rm", "sh", "-c", &format!("{mount} && {then}")]).current_dir(folder("disk"));
            shell
        };
        if small("true").status().is_ok_and(|status| status.success()) {
            let status = small("exec \"$0\"").arg(env::current_exe().unwrap()).env(CHILD, "disk").status();
            assert!(status.unwrap().success());
        } else {
            println!("skipped: a full disk, as none can be mounted here");
        }
    }

    fn a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own() {
        let mode = || fs::metadata("file").unwrap().mode() & 0o7777;
        stepped(100).save("file").unwrap();
        assert_eq!(mode(), 0o640);
        for old in [0o600, 0o444, 0o666] {
            fs::set_permissions("file", Permissions::from_mode(old)).unwrap();
            stepped(100).save("file").unwrap();
            assert_eq!(mode(), old);
        }
    }

    fn no_permission() {
        let folder = env::current_dir().unwrap();
        for at in ["closed/old", "closed/new", "sticky/old"].map(|at| folder.join(at)) {
            if at.parent().unwrap().exists() {
                refused(at.parent().unwrap(), &at, ErrorKind::PermissionDenied);
            }
        }
    }

    fn as_nobody() {
        let folder = folder("nobody");
        let mut child = Command::new(env::current_exe().unwrap());
        child.env(CHILD, "nobody").current_dir(&folder);
        let inside = |name: &str, mode| {
            let inside = folder.join(name);
            fs::create_dir(&inside).unwrap();
            stepped(100).save(inside.join("old")).unwrap();
            fs::set_permissions(inside, Permissions::from_mode(mode)).unwrap();
        };
        inside("closed", 0o555);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            // Where all may write, but replace nothing that is another's: what was written must be removed again.
            inside("sticky", 0o1777);
            child.uid(NOBODY).gid(NOBODY);
        } else {
            println!("skipped: another's file in a sticky folder, as there is no other user here");
        }
        match child.status() {
            Ok(status) => assert!(status.success()),
            Err(error) => {
                println!("skipped: folders without permission, as nobody can run the test: {error}");
            }
        }
        fs::set_permissions(folder.join("closed"), Permissions::from_mode(0o755)).unwrap();
    }

    /// Saving there fails so. Nothing in the folder changes, and the optimizer goes on.
    #[track_caller]
    fn refused(folder: &Path, path: &Path, kind: ErrorKind) {
        let (mut optimizer, before) = (stepped(LEN), contents(folder));
        match optimizer.save(path) {
            Err(Error::File { path: of, source }) if of == path && source.kind() == kind => {}
            other => panic!("{}: {other:?} must be {kind:?}", path.display()),
        }
        let after = contents(folder);
        assert!(after == before, "{:?} was {:?}", after.keys(), before.keys());
        optimizer.step(&mut [1.0; LEN], &[0.5; LEN]).unwrap();
        let mut bytes = Vec::new();
        Snapshot::of(&optimizer).write(&mut bytes).unwrap();
        same(&optimizer, &Checkpoint::read(Cursor::new(bytes)).unwrap().optimizer(LEN).unwrap());
    }

    /// Modes, and what is in files and links.
    fn contents(folder: &Path) -> BTreeMap<OsString, (u32, Vec<u8>)> {
        let entry = |entry: fs::DirEntry| {
            let (path, mode) = (entry.path(), entry.metadata().unwrap().mode());
            let bytes = match entry.file_type().unwrap() {
                of if of.is_file() => fs::read(path).unwrap(),
                of if of.is_symlink() => fs::read_link(path).unwrap().into_os_string().into_vec(),
                _ => vec![],
            };
            (entry.file_name(), (mode, bytes))
        };
        fs::read_dir(folder).unwrap().map(|found| entry(found.unwrap())).collect()
    }

    fn stepped(len: usize) -> Optimizer<AdamW> {
        let mut optimizer = Optimizer::new(AdamW::default(), len).unwrap();
        optimizer.step(&mut vec![1.0; len], &vec![0.5; len]).unwrap();
        optimizer
    }

    #[track_caller]
    fn same(one: &Optimizer<AdamW>, other: &Optimizer<AdamW>) {
        assert_eq!(one.steps(), other.steps());
        for name in ["exp_avg", "exp_avg_sq"] {
            assert!(one.state(name) == other.state(name));
        }
    }

    /// Behind such commands.
    fn in_shell(child: &str, commands: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{commands} && exec \"$0\"")]).arg(env::current_exe().unwrap());
        let status = shell.env(CHILD, child).current_dir(folder(child)).status();
        assert!(status.unwrap().success(), "{child}");
    }

    /// An empty one.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refused").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}
