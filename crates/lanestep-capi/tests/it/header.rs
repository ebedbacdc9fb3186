//! The header is what cbindgen makes of the sources, and compiles.

use crate::compiler::{ROOT, compiler, succeeded};
use std::{env, fs, path::Path};

#[test]
fn the_header_is_of_these_sources() {
    let root = Path::new(ROOT);
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(root).with_config(config).generate().unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let (made, path) = (String::from_utf8(made).unwrap(), root.join("include/lanestep.h"));
    if env::var_os("LANESTEP_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(made == checked_in, "include/lanestep.h is old: LANESTEP_BLESS=1 cargo test -p lanestep-capi");
}

#[test]
fn it_compiles_as_c_and_as_cpp() {
    for name in ["header.c", "header.cpp"] {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name);
        fs::write(&source, "#include \"lanestep.h\"\n#include \"lanestep.h\"\n").unwrap();
        succeeded(compiler(&source).arg("-fsyntax-only"));
    }
}
