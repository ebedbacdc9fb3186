//! Rules, groups and layouts in JSON.

use crate::handle::LanestepOptimizer;
use crate::input::{Out, text};
use crate::status::{Failure, LanestepStatus, enter};
use crate::text::put_json;
use lanestep::{AnyRule, Layout, Optimizer, Rule};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::c_char;
use std::ops::Range;

/// A group as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Group {
    rule: AnyRule,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tensors: Vec<String>,
    #[serde(default)]
    ranges: Vec<(usize, usize)>,
    #[serde(default = "one")]
    lr_scale: f64,
    #[serde(default)]
    frozen: bool,
}

const fn one() -> f64 {
    1.0
}

fn read<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, Failure> {
    let failed = |error| Failure::new(LanestepStatus::Text, format!("{what}: {error}"));
    serde_json::from_str(json).map_err(failed)
}

fn is_list(json: &str) -> bool {
    json.trim_start().starts_with('[')
}

pub(crate) fn rule(json: &str) -> Result<AnyRule, Failure> {
    read("rule", json)
}

pub(crate) fn layout(json: &str) -> Result<Layout, Failure> {
    if is_list(json) {
        Ok(Layout::with_shapes(read::<Vec<(String, Vec<usize>)>>("layout", json)?)?)
    } else {
        Ok(read::<usize>("layout", json)?.into())
    }
}

/// An optimizer of one rule, or of groups.
pub(crate) fn optimizer(json: &str, layout: Layout) -> Result<Optimizer<AnyRule>, Failure> {
    if !is_list(json) {
        return Ok(Optimizer::new(rule(json)?, layout)?);
    }
    let ranges: HashMap<&str, Range<usize>> = layout.iter().collect();
    let mut groups = Vec::new();
    for (index, group) in read::<Vec<Group>>("groups", json)?.into_iter().enumerate() {
        let mut all: Vec<_> = group.ranges.into_iter().map(|(start, end)| start..end).collect();
        for name in &group.tensors {
            let unknown = || format!("group {index} has a tensor {name:?}, but the layout has none");
            let range = ranges.get(&**name).cloned();
            let range = range.ok_or_else(|| Failure::new(LanestepStatus::Name, unknown()))?;
            all.extend(Some(range).filter(|range| !range.is_empty()));
        }
        groups.push(lanestep::Group {
            rule: group.rule,
            ranges: all,
            lr_scale: group.lr_scale,
            frozen: group.frozen,
        });
    }
    Ok(Optimizer::with_groups(groups, &layout)?)
}

/// All rules as JSON, into `*json`, which `lanestep_text_free` frees: a list of `{"defaults": {"rule": "AdamW", "lr": 0.001, ...},
/// "state": ["exp_avg", "exp_avg_sq"]}`. The options are in the order of the rule's documentation. Another choice of options
/// may take other state, which `lanestep_rule_state` tells.
///
/// # Safety
/// `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_rules(json: *mut *mut c_char) -> LanestepStatus {
    #[derive(Serialize)]
    struct Described {
        defaults: AnyRule,
        state: &'static [&'static str],
    }
    enter(|| {
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        let described = |defaults: AnyRule| Described { defaults, state: defaults.slots() };
        put_json(out, &AnyRule::all().into_iter().map(described).collect::<Vec<_>>())
    })
}

/// The names of the state that a rule takes with the options that are given, as a JSON list, into `*json`, which
/// `lanestep_text_free` frees.
///
/// Errors: `TEXT`, and `VALUE` if an option is out of its range.
///
/// # Safety
/// `rule` ends with a zero; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_rule_state(rule: *const c_char, json: *mut *mut c_char) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let rule = self::rule(unsafe { text("rule", rule) }?)?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        rule.check()?;
        put_json(out, &rule.slots())
    })
}

/// The groups as they were given, with the elements that they hold, as JSON that `lanestep_new_with` takes, into `*json`, which
/// `lanestep_text_free` frees. Their present learning rates are told by `lanestep_group_lr`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_groups(
    optimizer: *const LanestepOptimizer,
    json: *mut *mut c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        let groups = optimizer.inner.groups().map(|group| Group {
            rule: group.rule,
            tensors: vec![],
            ranges: group.ranges.iter().map(|range| (range.start, range.end)).collect(),
            lr_scale: group.lr_scale,
            frozen: group.frozen,
        });
        put_json(out, &groups.collect::<Vec<_>>())
    })
}

/// The layout as JSON that `lanestep_new_with` takes, into `*json`, which `lanestep_text_free` frees.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `json` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_layout(
    optimizer: *const LanestepOptimizer,
    json: *mut *mut c_char,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("json", json) }?;
        let layout = optimizer.inner.layout();
        let tensors: Vec<_> = layout.iter().map(|(name, _)| (name, layout.shape(name))).collect();
        if tensors.is_empty() { put_json(out, &layout.len()) } else { put_json(out, &tensors) }
    })
}
