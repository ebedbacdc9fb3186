//! Programs in C and C++, compiled and run.

use crate::compiler::{Link, ROOT, build, run, succeeded};
use std::fs;
use std::path::Path;

/// The program of the README, as it stands there.
#[test]
fn the_readme_runs() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let program = readme.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("readme.c");
    fs::write(&source, program).unwrap();
    let program = build(&source, folder.path(), Link::Dynamic);
    let output = succeeded(run(&program).current_dir(&folder));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.starts_with("the gradients' norm is "), "{out}");
    assert!(folder.path().join("run.safetensors").is_file());
}

/// What a parent has used, its child uses too.
#[test]
fn a_child_steps_after_a_fork() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(&Path::new(ROOT).join("tests/c/fork.c"), folder.path(), Link::Dynamic);
    succeeded(&mut run(&program));
}

#[test]
fn cpp_holds_optimizers_and_throws_errors() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(&Path::new(ROOT).join("tests/c/raii.cpp"), folder.path(), Link::Dynamic);
    succeeded(&mut run(&program));
}

#[test]
fn the_example_learns() {
    let folder = tempfile::tempdir().unwrap();
    let program = build(&Path::new(ROOT).join("examples/spiral.c"), folder.path(), Link::Dynamic);
    succeeded(run(&program).current_dir(&folder));
}
