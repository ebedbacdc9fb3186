//! Every error, through the functions of the header.

use crate::hands::{Handle, message, tensor};
use lanestep_capi::*;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};

const ADAMW: &str = r#"{"rule": "AdamW", "lr": 0.01}"#;

fn new(rule: &str, len: usize) -> Result<Handle, LanestepStatus> {
    Handle::new(rule, len)
}

fn with(groups: &str, layout: &str) -> LanestepStatus {
    Handle::with(groups, layout).map(drop).err().unwrap_or(LanestepStatus::Ok)
}

#[test]
fn rules_groups_and_layouts_that_are_wrong() {
    use LanestepStatus::{Groups, Length, Memory, Name, Ok, Text, Value};
    let adamw = |rest: &str| format!(r#"[{{"rule": {ADAMW}{rest}}}]"#);
    let two = |first: &str, second: &str| {
        format!(r#"[{{"rule": {ADAMW}, {first}}}, {{"rule": {ADAMW}, {second}}}]"#)
    };
    let named = r#"[["a", [2, 3]], ["none", [0]], ["b", []]]"#;
    let cases: &[(&str, &str, LanestepStatus, &str)] = &[
        (ADAMW, "7", Ok, ""),
        (ADAMW, named, Ok, ""),
        (&adamw(r#", "ranges": [[0, 7]]"#), "7", Ok, ""),
        (&adamw(r#", "tensors": ["b", "a", "none"]"#), named, Ok, ""),
        (
            &two(r#""tensors": ["a"]"#, r#""ranges": [[6, 7]], "frozen": true, "lr_scale": 0.5"#),
            named,
            Ok,
            "",
        ),
        ("", "7", Text, "rule: EOF"),
        ("7", "7", Text, "rule: invalid type"),
        ("{}", "7", Text, "missing field `rule`"),
        ("[", "7", Text, "groups: EOF"),
        (r#"{"rule": "Nonsense"}"#, "7", Text, "Nonsense"),
        (r#"{"rule": "AdamW", "betas": 1}"#, "7", Text, "rule"),
        (r#"{"rule": "AdamW", "momentum": 0.5}"#, "7", Text, "momentum"),
        (r#"{"rule": "AdamW", "lr": 1, "lr": 2}"#, "7", Text, "duplicate"),
        (r#"{"rule": "AdamW", "lr": -1}"#, "7", Value, "lr is -1"),
        (r#"{"rule": "AdamW", "lr": "NaN"}"#, "7", Value, "lr is NaN"),
        (ADAMW, "", Text, "layout: EOF"),
        (ADAMW, "-1", Text, "layout"),
        (ADAMW, "7.5", Text, "layout"),
        (ADAMW, r#"{"a": 1}"#, Text, "layout"),
        (ADAMW, r#"[["a", 1]]"#, Text, "layout"),
        (ADAMW, r#"[["a", [1]], ["a", [2]]]"#, Name, "two tensors"),
        (ADAMW, "[[\"a\", [18446744073709551615, 2]]]", Length, "more than"),
        (ADAMW, "4611686018427387904", Memory, "no memory"),
        ("[]", "7", Groups, "in no group"),
        (&adamw(""), "7", Groups, "group 0 has no parameters"),
        (&adamw(r#", "ranges": [[0, 6]]"#), "7", Groups, "in no group"),
        (&adamw(r#", "ranges": [[0, 8]]"#), "7", Groups, "only 7"),
        (&adamw(r#", "ranges": [[3, 2]]"#), "7", Groups, "3..2"),
        (&two(r#""ranges": [[0, 5]]"#, r#""ranges": [[4, 7]]"#), "7", Groups, "in group 0 and in group 1"),
        (&adamw(r#", "tensors": ["c"]"#), named, Name, r#"group 0 has a tensor "c""#),
        (&adamw(r#", "ranges": [[0, 7]], "lr_scale": -1"#), "7", Value, "lr_scale is -1"),
        (&adamw(r#", "ranges": [[0, 7]], "lr": 0.5"#), "7", Text, "unknown field `lr`"),
    ];
    for (groups, layout, status, words) in cases {
        assert_eq!((with(groups, layout), *groups), (*status, *groups), "{}", message());
        assert!(*status == Ok || message().contains(words), "{groups} {layout}: {}", message());
    }
    let huge = new(ADAMW, usize::MAX).unwrap_err();
    assert_eq!(huge, Memory);
}

#[test]
fn pointers_that_are_null() {
    use LanestepStatus::Null;
    let (mut opt, rule, len) = (null_mut(), CString::new(ADAMW).unwrap(), CString::new("2").unwrap());
    let handle = new(ADAMW, 2).unwrap();
    let (h, none) = (handle.0, null_mut::<LanestepOptimizer>());
    let (mut text, mut number, mut double, mut count, mut long) = (null_mut(), 0, 0.0, 0, 0);
    let mut floats = [0.0_f32; 2];
    // SAFETY: what is not null is of this test, and large enough.
    let of_optimizers = unsafe {
        [
            lanestep_clone(none, &mut opt),
            lanestep_set_threads(none, 1),
            lanestep_threads(none, &mut count),
            lanestep_groups(none, &mut text),
            lanestep_layout(none, &mut text),
            lanestep_len(none, &mut count),
            lanestep_tensor_count(none, &mut count),
            lanestep_group_count(none, &mut count),
            lanestep_group_rule(none, 0, &mut text),
            lanestep_set_rule(none, 0, rule.as_ptr()),
            lanestep_frozen(none, 0, &mut number),
            lanestep_set_frozen(none, 0, 1),
            lanestep_lr(none, &mut double),
            lanestep_set_lr(none, 0.5),
            lanestep_group_lr(none, 0, &mut double),
            lanestep_set_group_lr(none, 0, 0.5),
            lanestep_steps(none, &mut long),
            lanestep_set_steps(none, 1),
            lanestep_group_steps(none, 0, &mut long),
            lanestep_set_group_steps(none, 0, 1),
            lanestep_state_names(none, &mut text),
            lanestep_read_state(none, c"exp_avg".as_ptr(), 0, 2, floats.as_mut_ptr()),
            lanestep_set_state(none, c"exp_avg".as_ptr(), 0, 2, floats.as_ptr()),
            lanestep_state_format(none, c"exp_avg".as_ptr(), &mut number),
            lanestep_set_state_format(none, null(), 0),
            lanestep_rounding(none, &mut number, &mut long),
            lanestep_set_rounding(none, 0, 0),
            lanestep_split(none, &mut number),
            lanestep_set_split(none, 1),
            lanestep_masters(none, null(), 0, floats.as_mut_ptr(), 2),
            lanestep_set_masters(none, floats.as_ptr(), 2, null(), 0),
            lanestep_ema(none, &mut number, &mut double),
            lanestep_set_ema(none, 0.5),
            lanestep_end_ema(none),
            lanestep_read_ema(none, 0, 2, floats.as_mut_ptr()),
            lanestep_restore_ema(none, floats.as_ptr(), 2),
            lanestep_swap_ema(none, null(), 0),
            lanestep_save(none, c"none".as_ptr(), null(), 0, null()),
            lanestep_step(none, null(), 0, null(), null_mut()),
        ]
    };
    assert_eq!(of_optimizers, [Null; 39]);
    assert_eq!(message(), "optimizer is null");
    // SAFETY: as above.
    let of_others = unsafe {
        [
            lanestep_new(null(), 2, &mut opt),
            lanestep_new(rule.as_ptr(), 2, null_mut()),
            lanestep_new_with(null(), len.as_ptr(), &mut opt),
            lanestep_new_with(rule.as_ptr(), null(), &mut opt),
            lanestep_new_with(rule.as_ptr(), len.as_ptr(), null_mut()),
            lanestep_clone(h, null_mut()),
            lanestep_threads(h, null_mut()),
            lanestep_rules(null_mut()),
            lanestep_rule_state(null(), &mut text),
            lanestep_rule_state(rule.as_ptr(), null_mut()),
            lanestep_groups(h, null_mut()),
            lanestep_layout(h, null_mut()),
            lanestep_len(h, null_mut()),
            lanestep_tensor_count(h, null_mut()),
            lanestep_group_count(h, null_mut()),
            lanestep_group_rule(h, 0, null_mut()),
            lanestep_set_rule(h, 0, null()),
            lanestep_frozen(h, 0, null_mut()),
            lanestep_lr(h, null_mut()),
            lanestep_group_lr(h, 0, null_mut()),
            lanestep_steps(h, null_mut()),
            lanestep_group_steps(h, 0, null_mut()),
            lanestep_state_names(h, null_mut()),
            lanestep_read_state(h, null(), 0, 2, floats.as_mut_ptr()),
            lanestep_read_state(h, c"exp_avg".as_ptr(), 0, 2, null_mut()),
            lanestep_set_state(h, null(), 0, 2, floats.as_ptr()),
            lanestep_set_state(h, c"exp_avg".as_ptr(), 0, 2, null()),
            lanestep_state_format(h, null(), &mut number),
            lanestep_state_format(h, c"exp_avg".as_ptr(), null_mut()),
            lanestep_split(h, null_mut()),
            lanestep_masters(h, null(), 0, null_mut(), 2),
            lanestep_set_masters(h, null(), 2, null(), 0),
            lanestep_read_ema(h, 0, 2, null_mut()),
            lanestep_restore_ema(h, null(), 2),
            lanestep_swap_ema(h, null(), 1),
            lanestep_save(h, null(), null(), 0, null()),
            lanestep_save(h, c"none".as_ptr(), null(), 1, null()),
            lanestep_load(null(), null(), null(), 0, &mut opt),
            lanestep_load(c"none".as_ptr(), null(), null(), 0, null_mut()),
            lanestep_load_extra(null(), &mut text),
            lanestep_load_extra(c"none".as_ptr(), null_mut()),
            lanestep_step(h, null(), 1, null(), null_mut()),
        ]
    };
    assert_eq!(of_others, [Null; 42]);
    // SAFETY: null is nothing to free.
    unsafe { (lanestep_free(null_mut()), lanestep_text_free(null_mut())) };
    assert!(opt.is_null() && text.is_null());
    // SAFETY: as above; what nobody wants may be null.
    let optional =
        unsafe { [lanestep_rounding(h, null_mut(), null_mut()), lanestep_ema(h, null_mut(), null_mut())] };
    assert_eq!(optional, [LanestepStatus::Ok; 2]);
}

/// What a step says of tensors, which are as they were, with the state, if it is an error.
#[track_caller]
fn step(handle: &Handle, tensors: &[LanestepTensor], status: LanestepStatus, words: &str) {
    assert_eq!(handle.step(tensors, None).err().unwrap_or(LanestepStatus::Ok), status, "{}", message());
    assert!(status == LanestepStatus::Ok || message().contains(words), "{}", message());
}

#[test]
fn tensors_that_are_wrong() {
    use LanestepStatus::{Alignment, Length, Name, Null, Ok, Text, Value};
    let handle = Handle::with(ADAMW, r#"[["a", [4]], ["b", [2]]]"#).unwrap();
    let (mut params, mut grads, mut copy) = ([1.0_f32; 8], [0.5_f32; 8], [0_u16; 8]);
    let (p, g, m) = (params.as_mut_ptr(), grads.as_mut_ptr(), copy.as_mut_ptr());
    let a = tensor(p, g, 4);
    let b = tensor(p.wrapping_add(4), g.wrapping_add(4), 2);
    let odd = |pointer: *mut f32| pointer.cast::<u8>().wrapping_add(1).cast::<c_void>();
    let bad = |change: &dyn Fn(&mut LanestepTensor)| {
        let mut changed = b;
        change(&mut changed);
        [a, changed]
    };
    let before = (params, grads);
    step(&handle, &bad(&|b| b.params = null_mut()), Null, "tensor 1: params is null");
    step(&handle, &bad(&|b| b.params = odd(p)), Alignment, "tensor 1: params is at");
    step(&handle, &bad(&|b| b.grads = odd(g)), Alignment, "tensor 1: grads is at");
    step(&handle, &bad(&|b| b.mirror = odd(p)), Alignment, "tensor 1: mirror is at");
    step(&handle, &bad(&|b| (b.mirror, b.mirror_format) = (odd(p), 1)), Alignment, "no multiple of 2");
    step(&handle, &bad(&|b| b.len = 3), Length, r#"tensor 1 has 3 parameters, but "b""#);
    step(&handle, &bad(&|b| b.len = usize::MAX / 4 + 2), Length, "more than memory");
    step(&handle, &bad(&|b| b.len = isize::MAX as usize / 4 + 1), Length, "more than memory");
    step(&handle, &bad(&|b| (b.params, b.len) = ((-8_isize) as *mut c_void, 4)), Length, "more than memory");
    step(&handle, &bad(&|b| b.params_format = 4), Value, "4 is no LanestepFormat");
    step(&handle, &bad(&|b| b.grads_format = -1), Value, "-1 is no LanestepFormat");
    step(&handle, &bad(&|b| (b.mirror, b.mirror_format) = (m.cast(), 3)), Value, "BLOCK8");
    step(&handle, &bad(&|b| b.params_format = 3), Value, "BLOCK8");
    step(&handle, &bad(&|b| b.name = c"a".as_ptr()), Name, r#"tensor 1 is "a""#);
    step(&handle, &bad(&|b| b.name = c"\xff".as_ptr()), Text, "tensor 1: name is not UTF-8");
    step(&handle, &[a], Length, "1 tensors");
    step(&handle, &[a, b, tensor(p, g, 0)], Length, "3 tensors");
    step(&handle, &[], Length, "0 tensors");
    // SAFETY: nothing is read at a misaligned pointer.
    let misaligned = unsafe {
        let tensors = [a, b].as_ptr().cast::<u8>().wrapping_add(1).cast();
        lanestep_step(handle.0, tensors, 1, null(), null_mut())
    };
    assert_eq!(misaligned, Alignment);
    // SAFETY: a length that cannot be is not read.
    let long = unsafe { lanestep_step(handle.0, [a, b].as_ptr(), usize::MAX / 2, null(), null_mut()) };
    assert_eq!(long, Length);
    assert_eq!((params, grads, handle.steps()), (before.0, before.1, 0));
    // What is not there is not looked at: gradients, and pointers of tensors without elements.
    step(&handle, &bad(&|b| (b.grads, b.zero_grads) = (null_mut(), 1)), Ok, "");
    assert_eq!((params[4..6].to_vec(), params[0] < 1.0), (vec![1.0; 2], true));
    let none = new(ADAMW, 0).unwrap();
    step(&none, &[tensor(odd(p).cast(), odd(g).cast(), 0), tensor(null_mut(), null_mut(), 0)], Ok, "");
}

#[test]
fn memory_that_overlaps() {
    use LanestepStatus::{Ok, Overlap};
    let handle = new(ADAMW, 6).unwrap();
    let (mut params, mut grads) = ([1.0_f32; 16], [0.5_f32; 16]);
    let (p, g) = (params.as_mut_ptr(), grads.as_mut_ptr());
    let at = |pointer: *mut f32, place: usize| pointer.wrapping_add(place);
    let (a, b) = (tensor(p, g, 4), tensor(at(p, 4), at(g, 4), 2));
    let mirrored = |of: LanestepTensor, mirror: *mut f32| LanestepTensor { mirror: mirror.cast(), ..of };
    let zeroed = |of: LanestepTensor| LanestepTensor { zero_grads: 1, ..of };
    let named = |of: LanestepTensor, name: *mut f32| LanestepTensor { name: name.cast(), ..of };
    let before = (params, grads);
    let cases: &[(&[LanestepTensor], &str)] = &[
        (&[a, tensor(at(p, 3), at(g, 4), 2)], "the parameters of tensor 0 and the parameters of tensor 1"),
        (&[tensor(at(p, 4), g, 4), tensor(at(p, 3), at(g, 4), 2)], "tensor 1 and the parameters of tensor 0"),
        (&[tensor(p, g, 4), tensor(p, at(g, 4), 2)], "overlap"),
        (&[tensor(p, g, 4), tensor(at(p, 1), at(g, 4), 2)], "overlap"),
        (&[a, tensor(at(p, 4), at(p, 4), 2)], "overlap"),
        (&[a, tensor(at(p, 4), p, 2)], "the gradients of tensor 1"),
        (&[tensor(p, at(p, 5), 4), b], "the gradients of tensor 0"),
        (&[tensor(p, at(p, 3), 4), tensor(at(p, 8), g, 2)], "overlap"),
        // The gradients that end last are not those that begin last.
        (&[a, tensor(at(g, 3), at(g, 1), 2)], "the gradients of tensor 0 and the parameters of tensor 1"),
        (&[a, mirrored(b, at(p, 3))], "the mirror of tensor 1"),
        (&[a, mirrored(b, at(g, 5))], "the mirror of tensor 1"),
        (
            &[mirrored(a, at(p, 8)), mirrored(b, at(p, 11))],
            "the mirror of tensor 0 and the mirror of tensor 1",
        ),
        (
            &[zeroed(a), zeroed(tensor(at(p, 4), at(g, 3), 2))],
            "the gradients of tensor 0 and the gradients of",
        ),
        (&[zeroed(a), tensor(at(p, 4), g, 2)], "overlap"),
        (&[tensor(p, g, 4), zeroed(tensor(at(p, 4), at(g, 2), 2))], "overlap"),
        (&[named(a, at(g, 15)), zeroed(tensor(at(p, 4), at(g, 14), 2))], "the name of tensor 0"),
    ];
    grads[15] = 0.0;
    for (tensors, words) in cases {
        step(&handle, tensors, Overlap, words);
    }
    grads[15] = 0.5;
    assert_eq!((params, grads, handle.steps()), (before.0, before.1, 0));
    // Gradients that are only read may be the same, and what touches does not overlap.
    step(&handle, &[a, tensor(at(p, 4), at(g, 1), 2)], Ok, "");
    step(&handle, &[tensor(at(p, 2), g, 4), tensor(p, at(p, 6), 2)], Ok, "");
    step(&handle, &[zeroed(a), mirrored(b, at(p, 6))], Ok, "");
}

#[test]
fn pipelines_that_are_wrong() {
    let handle = new(ADAMW, 2).unwrap();
    let (mut params, mut grads) = ([1.0_f32; 2], [0.5, f32::NAN]);
    let tensors = [tensor(params.as_mut_ptr(), grads.as_mut_ptr(), 2)];
    type Change = fn(&mut LanestepPipeline);
    let changes: [(&str, Change); 9] = [
        ("scale is NaN", |p| p.scale = f64::NAN),
        ("scale is -1", |p| p.scale = -1.0),
        ("max_norm is NaN", |p| (p.has_max_norm, p.max_norm) = (1, f64::NAN)),
        ("clip_value is NaN", |p| (p.has_clip_value, p.clip_value) = (-1, f64::NAN)),
        ("min_param is NaN", |p| (p.has_min_param, p.min_param) = (1, f64::NAN)),
        ("max_param is inf", |p| (p.has_max_param, p.max_param) = (1, f64::INFINITY)),
        ("max_param is 1", |p| {
            (p.has_min_param, p.has_max_param, p.min_param, p.max_param) = (1, 1, 2.0, 1.0);
        }),
        ("3 is no LanestepNonFinite", |p| p.non_finite = 3),
        ("-1 is no LanestepNonFinite", |p| p.non_finite = -1),
    ];
    for (words, change) in changes {
        let mut pipeline = lanestep_pipeline();
        change(&mut pipeline);
        assert_eq!(handle.step(&tensors, Some(pipeline)), Err(LanestepStatus::Value));
        assert!(message().contains(words), "{}", message());
    }
    let strict = LanestepPipeline { non_finite: LanestepNonFinite::Error as i32, ..lanestep_pipeline() };
    assert_eq!(handle.step(&tensors, Some(strict)), Err(LanestepStatus::NonFinite));
    assert!(message().contains("the first at 1"), "{}", message());
    let skip = LanestepPipeline { non_finite: LanestepNonFinite::Skip as i32, ..lanestep_pipeline() };
    let report = handle.step(&tensors, Some(skip)).unwrap();
    assert_eq!((report.skipped, report.non_finite, report.first_non_finite), (1, 1, 1));
    assert_eq!((report.has_grads, report.has_first_non_finite, report.has_update), (1, 1, 0));
    assert_eq!((params, handle.steps()), ([1.0; 2], 0));
    // What is not meant is not looked at.
    let unset = LanestepPipeline { max_norm: f64::NAN, min_param: f64::NAN, ..lanestep_pipeline() };
    grads[1] = 0.5;
    let tensors = [tensor(params.as_mut_ptr(), grads.as_mut_ptr(), 2)];
    assert_eq!(handle.step(&tensors, Some(unset)).unwrap().clip_factor.to_bits(), 1.0_f64.to_bits());
    // SAFETY: nothing is read or written at a misaligned pointer.
    let misaligned = unsafe {
        let pipeline = (&raw const unset).cast::<u8>().wrapping_add(1).cast();
        let mut report = [LanestepReport::default(); 2];
        let odd = report.as_mut_ptr().cast::<u8>().wrapping_add(1).cast();
        [
            lanestep_step(handle.0, tensors.as_ptr(), 1, pipeline, null_mut()),
            lanestep_step(handle.0, tensors.as_ptr(), 1, null(), odd),
        ]
    };
    assert_eq!((misaligned, handle.steps()), ([LanestepStatus::Alignment; 2], 1));
}

#[test]
fn names_numbers_and_ranges_that_are_wrong() {
    use LanestepStatus::{Alignment, Length, Name, State, Text, Value};
    let handle = new(ADAMW, 2).unwrap();
    let h = handle.0;
    let (mut text, mut number, mut double, mut long) = (null_mut(), 0, 0.0, 0);
    let mut floats = [0.0_f32; 4];
    let f = floats.as_mut_ptr();
    let (name, odd) = (c"exp_avg".as_ptr(), f.cast::<u8>().wrapping_add(2).cast::<f32>());
    // SAFETY: all pointers are of this test, and large enough, where they are not found to be wrong before.
    let found = unsafe {
        [
            (lanestep_group_rule(h, 1, &mut text), Name),
            (lanestep_set_rule(h, 1, c"{\"rule\": \"SGD\"}".as_ptr()), Name),
            (lanestep_set_rule(h, 0, c"{\"rule\": \"SGD\", \"lr\": -1}".as_ptr()), Value),
            (lanestep_set_rule(h, 0, c"{\"rule\": \"SG\"}".as_ptr()), Text),
            (lanestep_set_rule(h, 0, c"\xff".as_ptr()), Text),
            (lanestep_frozen(h, 1, &mut number), Name),
            (lanestep_set_frozen(h, 1, 1), Name),
            (lanestep_group_lr(h, 1, &mut double), Name),
            (lanestep_set_group_lr(h, 1, 0.5), Name),
            (lanestep_set_group_lr(h, 0, f64::NAN), Value),
            (lanestep_set_lr(h, -1.0), Value),
            (lanestep_group_steps(h, usize::MAX, &mut long), Name),
            (lanestep_set_group_steps(h, usize::MAX, 1), Name),
            (lanestep_read_state(h, c"none".as_ptr(), 0, 2, f), Name),
            (lanestep_read_state(h, c"none".as_ptr(), 0, 1, f), Name),
            (lanestep_read_state(h, name, 0, 3, f), Length),
            (lanestep_read_state(h, name, 2, 1, f), Length),
            (lanestep_read_state(h, name, usize::MAX, usize::MAX, f), Length),
            (lanestep_read_state(h, name, 0, 1, odd), Alignment),
            (lanestep_read_state(h, c"\xff".as_ptr(), 0, 1, f), Text),
            (lanestep_set_state(h, c"none".as_ptr(), 0, 2, f), Name),
            (lanestep_set_state(h, c"none".as_ptr(), 0, 1, f), Name),
            (lanestep_set_state(h, name, 0, 3, f), Length),
            (lanestep_set_state(h, name, 2, 1, f), Length),
            (lanestep_set_state(h, name, 0, 1, odd), Alignment),
            (lanestep_state_format(h, c"none".as_ptr(), &mut number), Name),
            (lanestep_set_state_format(h, c"none".as_ptr(), 0), Name),
            (lanestep_set_state_format(h, name, 4), Value),
            (lanestep_set_state_format(h, null(), -1), Value),
            (lanestep_set_rounding(h, 2, 0), Value),
            (lanestep_set_threads(h, 1025), Value),
            (lanestep_set_ema(h, 1.0), Value),
            (lanestep_set_ema(h, f64::NAN), Value),
            (lanestep_read_ema(h, 0, 1, f), State),
            (lanestep_read_ema(h, 0, 3, f), Length),
            (lanestep_restore_ema(h, f, 2), State),
            (lanestep_restore_ema(h, f, 3), Length),
            (lanestep_swap_ema(h, [tensor(f, f, 2)].as_ptr(), 1), State),
            (lanestep_masters(h, [tensor(f, f, 2)].as_ptr(), 1, f.add(2), 2), State),
            (lanestep_set_masters(h, f.add(2), 2, [tensor(f, f, 2)].as_ptr(), 1), State),
            (lanestep_masters(h, [tensor(f, f, 2)].as_ptr(), 1, f.add(1), 2), LanestepStatus::Overlap),
            (lanestep_set_masters(h, f.add(1), 2, [tensor(f, f, 2)].as_ptr(), 1), LanestepStatus::Overlap),
            (lanestep_masters(h, [tensor(f, f, 2)].as_ptr(), 1, f, usize::MAX), Length),
            (lanestep_rule_state(c"{\"rule\": \"SGD\", \"lr\": -1}".as_ptr(), &mut text), Value),
        ]
    };
    for (call, (found, expected)) in found.into_iter().enumerate() {
        assert_eq!(found, expected, "call {call}: {}", message());
    }
    assert_eq!((floats, text, handle.lr()), ([0.0; 4], null_mut(), 0.01));
    // SAFETY: as above.
    let stateless = unsafe {
        let groups = r#"[{"rule": {"rule": "SGD"}, "ranges": [[0, 1]]}, {"rule": {"rule": "AdamW"}, "ranges": [[1, 2]]}]"#;
        let handle = Handle::with(groups, "2").unwrap();
        lanestep_set_state(handle.0, name, 0, 1, [0.5].as_ptr())
    };
    assert_eq!(stateless, Value);
}

#[test]
fn files_that_are_wrong() {
    use LanestepStatus::{Checkpoint, File, Length, Name, Text};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| CString::new(folder.path().join(name).to_str().unwrap()).unwrap();
    let handle = Handle::with(ADAMW, r#"[["a", [2]]]"#).unwrap();
    let (mut params, mut out, mut text) = ([1.0_f32; 4], null_mut(), null_mut::<c_char>());
    let tensors = [tensor(params.as_mut_ptr(), null_mut(), 2)];
    let (none, run, junk) = (at("none"), at("run"), at("junk"));
    std::fs::write(folder.path().join("junk"), "junk").unwrap();
    let nowhere = at("no/where");
    // SAFETY: all pointers are of this test, and large enough.
    let found = unsafe {
        let load = |path: &CString, layout, tensors: &[LanestepTensor], out| {
            lanestep_load(path.as_ptr(), layout, tensors.as_ptr(), tensors.len(), out)
        };
        [
            (lanestep_save(handle.0, nowhere.as_ptr(), null(), 0, null()), File),
            (lanestep_save(handle.0, c"\xff".as_ptr(), null(), 0, null()), Text),
            (lanestep_save(handle.0, run.as_ptr(), null(), 0, c"{".as_ptr()), Text),
            (lanestep_save(handle.0, run.as_ptr(), [tensors[0]; 2].as_ptr(), 2, null()), Length),
            (load(&run, null(), &[], &mut out), File),
            (lanestep_save(handle.0, run.as_ptr(), null(), 0, null()), LanestepStatus::Ok),
            (load(&none, null(), &[], &mut out), File),
            (load(&junk, null(), &[], &mut out), Checkpoint),
            (load(&run, c"3".as_ptr(), &[], &mut out), Length),
            (load(&run, c"[[\"b\", [2]]]".as_ptr(), &[], &mut out), Name),
            (load(&run, c"[".as_ptr(), &[], &mut out), Text),
            (load(&run, null(), &tensors, &mut out), Checkpoint),
            (load(&run, null(), &[tensors[0]; 2], &mut out), LanestepStatus::Overlap),
            (lanestep_load_extra(none.as_ptr(), &mut text), File),
        ]
    };
    for (call, (found, expected)) in found.into_iter().enumerate() {
        assert_eq!(found, expected, "call {call}: {}", message());
    }
    assert_eq!((out, text, params), (null_mut(), null_mut(), [1.0; 4]));
}
