//! The gallery's page and the README's table, held to the list of rules.

use lanestep::{AnyRule, Rule};

const PAGE: &str = include_str!("../../docs/rules.md");
const PICTURE: &str = include_str!("../../docs/gallery.svg");
const README: &str = include_str!("../../README.md");

/// What is said of one rule.
#[derive(Debug, PartialEq)]
struct Entry {
    name: &'static str,
    type_name: String,
    /// Of state, by default.
    bytes: usize,
}

impl Entry {
    /// `facts` begins with the bytes.
    fn new(place: &str, name: &'static str, type_name: &str, facts: &str) -> Self {
        let number = facts.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        let bytes = number.parse().unwrap_or_else(|_| {
            panic!("{place}: the state of {name} should be a number of bytes by default, and is {facts:?}")
        });
        Self { name, type_name: type_name.into(), bytes }
    }

    fn of(rule: &AnyRule) -> Self {
        let variant = format!("{rule:?}");
        let (type_name, _) = variant.split_once('(').unwrap();
        Self { name: rule.name(), type_name: type_name.into(), bytes: 4 * rule.slots().len() }
    }
}

/// A heading, and a line of facts: type, bytes, passes, paper.
fn page() -> Vec<Entry> {
    let entry = |section: &'static str| {
        let mut lines = section.lines();
        let name = lines.next().unwrap();
        let facts = lines.find(|line| line.starts_with('`') && line.contains(" · ")).unwrap_or_else(|| {
            panic!("docs/rules.md, ## {name}: no line such as {}", of_the_page("`Type` · 8 bytes"))
        });
        let mut facts = facts.split(" · ");
        Entry::new("docs/rules.md", name, facts.next().unwrap().trim_matches('`'), facts.next().unwrap())
    };
    PAGE.split("\n## ").skip(1).map(entry).collect()
}

/// Rows of names, with the type in brackets where it is another, and bytes.
fn table() -> Vec<Entry> {
    let (_, section) = README.split_once("\n## Rules\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.flat_map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (names, facts) = (cells.next().unwrap(), cells.next().unwrap());
        names.split(", ").map(move |name| {
            let (name, type_name) = name.split_once(" (").unwrap_or((name, name));
            Entry::new("README.md, ## Rules", name, type_name.trim_matches(['`', ')']), facts)
        })
    })
    .collect()
}

fn of_the_page(beginning: &str) -> String {
    format!("\"{beginning} · 1 pass · [its paper](https://doi.org)\"")
}

#[test]
fn every_rule_is_in_the_gallery_and_in_the_readme() {
    let (page, table) = (page(), table());
    for expected in AnyRule::all().iter().map(Entry::of) {
        let of = |entries: &[Entry]| entries.iter().filter(|entry| entry.name == expected.name).count();
        let Entry { name, type_name, bytes } = &expected;
        let facts = of_the_page(&format!("`{type_name}` · {bytes} bytes"));
        assert!(
            page.contains(&expected) && of(&page) == 1,
            "docs/rules.md should have one section \"## {name}\", with a line such as {facts}"
        );
        let label = if name == type_name { type_name.clone() } else { format!("{name} (`{type_name}`)") };
        assert!(
            table.contains(&expected) && of(&table) == 1,
            "README.md, ## Rules: {name} should be in one row, such as \"| {label} | {bytes} | `its` `options` |\""
        );
    }
}

#[test]
fn nothing_else_is_in_the_gallery_or_in_the_readme() {
    let rules: Vec<_> = AnyRule::all().iter().map(AnyRule::name).collect();
    for (place, entries) in [("docs/rules.md", page()), ("README.md, ## Rules", table())] {
        let others: Vec<_> = entries.iter().filter(|entry| !rules.contains(&entry.name)).collect();
        assert!(others.is_empty(), "{place}: the list in src/rule.rs has no {others:?}");
    }
}

#[test]
fn the_picture_has_the_panels_of_the_list() {
    let title = |(above, line): (&str, &'static str)| above.contains("font-weight=\"bold\"").then_some(line);
    let panels: Vec<_> = PICTURE.lines().zip(PICTURE.lines().skip(1)).filter_map(title).collect();
    let rules: Vec<_> = AnyRule::all().iter().map(AnyRule::name).collect();
    let beside = |some: &[&'static str], others: &[&str]| -> Vec<&str> {
        some.iter().filter(|name| !others.contains(name)).copied().collect()
    };
    assert!(
        panels == rules,
        "docs/gallery.svg lacks {:?}, has {:?} too much, or has another order than src/rule.rs. Draw it again: \
         `cargo run --release --example gallery && cp target/gallery.svg docs/`",
        beside(&rules, &panels),
        beside(&panels, &rules),
    );
}
