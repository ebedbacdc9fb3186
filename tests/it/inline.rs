//! Every function of lanes is inlined into the loop: only there it is compiled for the vectors of the CPU. One that is
//! not is right but ten times slower, so no other test finds it. Closures are left to `.ci/run`, which looks at a binary.

use std::fs;
use std::path::Path;

/// One of these is in the signature of a function of lanes, or in the head of the `impl` or `trait` that it is in.
const BOUNDS: [&str; 3] = ["Lane", "Vector", "Simd"];

fn has_word(text: &str, wanted: &[&str]) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| wanted.contains(&word))
}

/// The line without the comment that it may be an example in.
fn code(line: &str) -> &str {
    let bare = line.trim_start();
    ["/// ", "//! "].iter().find_map(|comment| bare.strip_prefix(comment)).unwrap_or(line)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// What begins here and has a body, up to that.
fn head(lines: &[&str]) -> Option<String> {
    let last = lines.iter().position(|line| line.contains('{') || line.ends_with(';'))?;
    lines[last].contains('{').then(|| lines[..=last].join(" "))
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub") || *word == "const");
    words.next() == Some("fn")
}

fn is_block(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    words.next().is_some_and(|word| word == "trait" || word == "impl" || word.starts_with("impl<"))
}

/// The functions of lanes in a source that `rustfmt` has seen, by line, and whether they are always inlined.
fn functions(source: &str) -> Vec<(usize, bool)> {
    let lines: Vec<_> = source.lines().map(code).collect();
    // The indent of the block of lanes that we are in.
    let mut block = None;
    let mut found = vec![];
    for (i, line) in lines.iter().enumerate() {
        if block == Some(indent(line)) && line.trim() == "}" {
            block = None;
        }
        let Some(head) = head(&lines[i..]) else { continue };
        if is_block(line) && has_word(&head, &BOUNDS) && !head.contains('}') {
            block = Some(indent(line));
        }
        let of_block = block.is_some() && has_word(&head, &["self", "Self"]);
        if is_function(line) && (of_block || has_word(&head, &BOUNDS)) {
            let ends = |line: &&&str| line.is_empty() || line.ends_with(['{', '}', ';']);
            let mut above = lines[..i].iter().rev().take_while(|line| !ends(line));
            found.push((i + 1, above.any(|line| line.trim_start().starts_with("#[inline(always)]"))));
        }
    }
    found
}

/// All that is forgotten in a file, or in the files of a folder. `seen` counts what was looked at.
fn forgotten(path: &Path, seen: &mut usize) -> Vec<String> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        return entries.flat_map(|path| forgotten(&path, seen)).collect();
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return vec![];
    }
    let source = fs::read_to_string(path).unwrap();
    let found = functions(&source);
    *seen += found.len();
    let lacking = found.iter().filter(|(_, inlined)| !inlined);
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display();
    lacking
        .map(|(line, _)| format!("{name}:{line}: {}", source.lines().nth(line - 1).unwrap().trim()))
        .collect()
}

#[test]
fn no_function_of_lanes_is_called() {
    let mut seen = 0;
    let forgotten: Vec<_> = ["src", "benches", "examples"]
        .iter()
        .flat_map(|place| forgotten(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place), &mut seen))
        .collect();
    assert!(forgotten.is_empty(), "these lack #[inline(always)], so a step would call them: {forgotten:#?}");
    assert!(seen > 80, "only {seen} functions of lanes: is this test still looking at the right lines?");
}

#[test]
fn the_search_finds_every_kind() {
    let found = |source: &str| functions(source).iter().map(|(_, inlined)| *inlined).collect::<Vec<_>>();
    assert_eq!(found("fn f<L: Lane>(x: L) -> L {\n"), [false]);
    assert_eq!(found("#[inline(always)]\nfn f<L: Lane>(x: L) -> L {\n"), [true]);
    assert_eq!(found("#[inline(always)] // why\n#[must_use]\npub(super) fn f(x: impl Lane) {\n"), [true]);
    assert_eq!(found("#[inline]\npub const fn f<L>(x: L)\nwhere\n    L: crate::Lane,\n{\n"), [false]);
    assert_eq!(found("fn f<const S: usize, L: Lane>(\n    s: [L; S],\n) -> L::Mask {\n"), [false]);
    // What is above belongs to another.
    assert_eq!(found("#[inline(always)]\nfn f(x: f32) {}\nfn g<L: Lane>(x: L) {}\n"), [false]);
    assert_eq!(found("#[inline(always)]\nfn f(x: f32);\n/// Of lanes.\nfn g<L: Lane>(x: L) {}\n"), [false]);
    // By the block around.
    let block =
        "impl<L: Lane> Pair<L> {\n    fn sum(self) -> L {\n    }\n    const N: usize = 2;\n}\nfn f() {\n";
    assert_eq!(found(block), [false]);
    assert_eq!(
        found("pub trait Lane:\n    Copy\n{\n    fn f(self) -> f32 {\n    }\n    fn g(self);\n}\n"),
        [false]
    );
    assert!(found("impl Sealed for f32 {}\nimpl S {\n    fn f(self) {\n    }\n}\n").is_empty());
    // In an example.
    assert_eq!(
        found("/// impl Formula<0> for F {\n///     fn update<L: Lane>(&self, p: L) -> L {\n"),
        [false]
    );
}
