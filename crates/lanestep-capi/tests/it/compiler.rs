//! C and C++ compilers, and the library that this test was built with.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Which library a program is linked with.
#[derive(Clone, Copy)]
pub(crate) enum Link {
    Dynamic,
    Static,
}

/// Where cargo has put the libraries: all kinds of a library are built for a test of it, beside the test.
fn libraries() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// What sanitizers are asked for, such as `address,undefined`.
pub(crate) fn sanitizers() -> Option<String> {
    env::var("LANESTEP_SANITIZE").ok().filter(|names| !names.is_empty())
}

/// The compiler for a source, by its name, with every warning an error.
pub(crate) fn compiler(source: &Path) -> Command {
    let is_cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let (variable, default, standard) =
        if is_cpp { ("CXX", "c++", "-std=c++17") } else { ("CC", "cc", "-std=c11") };
    let mut command = Command::new(env::var_os(variable).unwrap_or_else(|| default.into()));
    command.args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-g"]);
    command.arg("-I").arg(Path::new(ROOT).join("include")).arg(source);
    command
}

/// A program, compiled in a folder.
pub(crate) fn build(source: &Path, folder: &Path, link: Link) -> PathBuf {
    let program = folder.join(source.file_stem().unwrap());
    let mut command = compiler(source);
    command.arg("-o").arg(&program);
    if let Some(names) = sanitizers() {
        command.arg(format!("-fsanitize={names}")).arg("-fno-sanitize-recover=all");
    }
    let libraries = libraries();
    match link {
        Link::Dynamic => {
            command.arg("-L").arg(&libraries).arg("-llanestep_capi");
            command.arg(format!("-Wl,-rpath,{}", libraries.display()));
        }
        Link::Static => {
            command.arg(libraries.join("liblanestep_capi.a")).args(["-lpthread", "-ldl"]);
            // Of more than a hundred megabytes, a program needs few.
            if cfg!(target_os = "linux") {
                command.arg("-Wl,--gc-sections,-s");
            }
        }
    }
    succeeded(command.arg("-lm"));
    program
}

/// To run what was built. Cargo's own path would find a library first that an earlier `cargo build` has left.
pub(crate) fn run(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", libraries());
    command
}

/// Runs it, which must succeed.
pub(crate) fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    output
}
