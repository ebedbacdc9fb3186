//! What an optimizer keeps, in and out, beside the same of the crate.

use crate::hands::{Handle, json, message, ok, tensor, text};
use half::{bf16, f16};
use lanestep::{AdamW, AnyRule, Format, Group, Optimizer, Pipeline, Rounding, Sgd, Tensor};
use lanestep_capi::*;
use serde_json::json as value;
use std::ffi::{CString, c_char};
use std::ptr::{null, null_mut};

const LEN: usize = 1000;
const GROUPS: &str = r#"[{"rule": {"rule": "AdamW", "lr": 0.01}, "tensors": ["a"]},
    {"rule": {"rule": "SGD", "lr": 0.1, "momentum": 0.9}, "ranges": [[600, 1000]], "lr_scale": 0.5}]"#;
const LAYOUT: &str = r#"[["a", [6, 100]], ["b", [400]]]"#;
const EXP_AVG: *const c_char = c"exp_avg".as_ptr();

fn twin() -> Optimizer<AnyRule> {
    let sgd = Sgd { lr: 0.1, momentum: 0.9, ..Sgd::default() };
    let groups = [
        Group::new(AdamW { lr: 0.01, ..AdamW::default() }.into(), 0..600),
        Group { lr_scale: 0.5, ..Group::new(sgd.into(), 600..LEN) },
    ];
    let layout = lanestep::Layout::with_shapes([("a", vec![6, 100]), ("b", vec![400])]).unwrap();
    Optimizer::with_groups(groups, layout).unwrap()
}

fn grads(step: usize) -> Vec<f32> {
    (0..LEN).map(|i| ((i * 7 + step * 13) % 31) as f32 / 16.0 - 1.0).collect()
}

fn params() -> Vec<f32> {
    (0..LEN).map(|i| (i % 13) as f32 / 8.0 - 0.75).collect()
}

/// One slice of all, in C and in Rust.
fn step_both(
    handle: &Handle,
    params: &mut [f32],
    twin: &mut Optimizer<AnyRule>,
    others: &mut [f32],
    k: usize,
) {
    let mut grads = grads(k);
    handle.step(&[tensor(params.as_mut_ptr(), grads.as_mut_ptr(), params.len())], None).unwrap();
    twin.step(others, &grads).unwrap();
    assert!(params == others, "step {k} has other bits");
}

fn read(handle: &Handle, name: *const c_char, start: usize, end: usize) -> Vec<f32> {
    let mut numbers = vec![f32::NAN; end - start];
    // SAFETY: there is room for them.
    ok(unsafe { lanestep_read_state(handle.0, name, start, end, numbers.as_mut_ptr()) }).unwrap();
    numbers
}

#[test]
fn numbers_of_groups_go_in_and_out() {
    let handle = Handle::with(GROUPS, LAYOUT).unwrap();
    let (mut twin, mut mine, mut others) = (twin(), params(), params());
    step_both(&handle, &mut mine, &mut twin, &mut others, 1);
    let h = handle.0;
    let (mut len, mut tensors, mut groups, mut threads) = (0, 0, 0, 0);
    let (mut lr, mut steps, mut frozen) = ([0.0; 3], [0; 3], [0; 2]);
    // SAFETY: all pointers are whole.
    unsafe {
        ok(lanestep_len(h, &mut len)).unwrap();
        ok(lanestep_tensor_count(h, &mut tensors)).unwrap();
        ok(lanestep_group_count(h, &mut groups)).unwrap();
        ok(lanestep_set_threads(h, 3)).unwrap();
        ok(lanestep_threads(h, &mut threads)).unwrap();
        ok(lanestep_set_lr(h, 0.5)).unwrap();
        ok(lanestep_set_group_lr(h, 1, 0.25)).unwrap();
        ok(lanestep_lr(h, &mut lr[0])).unwrap();
        ok(lanestep_group_lr(h, 0, &mut lr[1])).unwrap();
        ok(lanestep_group_lr(h, 1, &mut lr[2])).unwrap();
        ok(lanestep_set_steps(h, 10)).unwrap();
        ok(lanestep_set_group_steps(h, 0, 20)).unwrap();
        ok(lanestep_steps(h, &mut steps[0])).unwrap();
        ok(lanestep_group_steps(h, 0, &mut steps[1])).unwrap();
        ok(lanestep_group_steps(h, 1, &mut steps[2])).unwrap();
        ok(lanestep_set_frozen(h, 1, -1)).unwrap();
        ok(lanestep_frozen(h, 0, &mut frozen[0])).unwrap();
        ok(lanestep_frozen(h, 1, &mut frozen[1])).unwrap();
    }
    assert_eq!((len, tensors, groups, threads), (LEN, 2, 2, 3));
    assert_eq!((lr, steps, frozen), ([0.5, 0.5, 0.125], [10, 20, 1], [0, 1]));
    twin.set_lr(0.5).unwrap();
    twin.set_group_lr(1, 0.25).unwrap();
    twin.set_steps(10);
    twin.set_group_steps(0, 20).unwrap();
    twin.set_frozen(1, true).unwrap();
    step_both(&handle, &mut mine, &mut twin, &mut others, 2);
    let adam = CString::new(r#"{"rule": "Adam", "lr": 0.002}"#).unwrap();
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_set_rule(h, 1, adam.as_ptr()) }).unwrap();
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_set_frozen(h, 1, 0) }).unwrap();
    twin.set_rule(1, lanestep::Adam { lr: 0.002, ..lanestep::Adam::default() }).unwrap();
    twin.set_frozen(1, false).unwrap();
    step_both(&handle, &mut mine, &mut twin, &mut others, 3);
    // SAFETY: all pointers are whole.
    let rule: AnyRule =
        serde_json::from_value(json(|out| unsafe { lanestep_group_rule(h, 1, out) })).unwrap();
    assert_eq!(rule, twin.groups().nth(1).unwrap().rule);
}

#[test]
fn what_is_told_can_be_handed_back() {
    let handle = Handle::with(GROUPS, LAYOUT).unwrap();
    let (groups, layout) = (handle.json(lanestep_groups), handle.json(lanestep_layout));
    assert_eq!(layout, value!([["a", [6, 100]], ["b", [400]]]));
    assert_eq!(groups[1]["ranges"], value!([[600, 1000]]));
    assert_eq!((&groups[1]["lr_scale"], &groups[0]["frozen"]), (&value!(0.5), &value!(false)));
    assert_eq!(handle.json(lanestep_state_names), value!(["exp_avg", "exp_avg_sq", "momentum_buffer"]));
    let again = Handle::with(&groups.to_string(), &layout.to_string()).unwrap();
    assert_eq!((again.json(lanestep_groups), again.json(lanestep_layout)), (groups, layout));
    assert_eq!(Handle::new(r#"{"rule": "SGD"}"#, 3).unwrap().json(lanestep_layout), value!(3));
}

#[test]
fn every_rule_is_told() {
    // SAFETY: the pointer is whole.
    let told = text(|out| unsafe { lanestep_rules(out) });
    let rules: Vec<serde_json::Value> = serde_json::from_str(&told).unwrap();
    assert_eq!(rules.len(), AnyRule::all().len());
    for (told, rule) in rules.iter().zip(AnyRule::all()) {
        assert_eq!(serde_json::from_value::<AnyRule>(told["defaults"].clone()).unwrap(), rule);
        assert_eq!(told["state"], value!(lanestep::Rule::slots(&rule)), "{}", rule.name());
        let handle = Handle::new(&told["defaults"].to_string(), 3).unwrap();
        assert_eq!(handle.json(lanestep_state_names), told["state"]);
    }
    assert!(told.contains(r#"{"rule":"AdamW","lr":0.001,"#), "the options are in their own order");
    let sgd = c"{\"rule\": \"SGD\", \"momentum\": 0.9}";
    // SAFETY: both pointers are whole.
    let state = json(|out| unsafe { lanestep_rule_state(sgd.as_ptr(), out) });
    assert_eq!(state, value!(["momentum_buffer"]));
}

#[test]
fn state_goes_in_and_out_by_ranges() {
    for format in [LanestepFormat::F32, LanestepFormat::Bf16, LanestepFormat::F16, LanestepFormat::Block8] {
        let handle = Handle::with(GROUPS, LAYOUT).unwrap();
        let (mut mine, mut found) = (params(), -1);
        // SAFETY: all pointers are whole.
        unsafe {
            ok(lanestep_set_state_format(handle.0, null(), format as i32)).unwrap();
            ok(lanestep_state_format(handle.0, EXP_AVG, &mut found)).unwrap();
        }
        assert_eq!(found, format as i32);
        let mut g = grads(1);
        handle.step(&[tensor(mine.as_mut_ptr(), g.as_mut_ptr(), LEN)], None).unwrap();
        let whole = read(&handle, EXP_AVG, 0, LEN);
        assert!(whole[..600].iter().any(|m| *m != 0.0) && whole[600..] == [0.0; 400]);
        for (start, end) in [(0, 0), (LEN, LEN), (0, 1), (255, 700), (999, LEN)] {
            assert_eq!(read(&handle, EXP_AVG, start, end), whole[start..end]);
        }
        let part = [0.5, -0.25, 0.0, 1.0];
        // SAFETY: there are so many.
        ok(unsafe { lanestep_set_state(handle.0, EXP_AVG, 300, 304, part.as_ptr()) }).unwrap();
        let changed = read(&handle, EXP_AVG, 0, LEN);
        if format == LanestepFormat::Block8 {
            // The block's scale is another, so that its numbers are rounded again.
            assert!(changed[300..304].iter().zip(part).all(|(x, y)| (x - y).abs() <= 0.02), "{changed:?}");
            assert_eq!((&changed[..256], &changed[512..]), (&whole[..256], &whole[512..]));
        } else {
            assert_eq!(
                (&changed[..300], &changed[300..304], &changed[304..]),
                (&whole[..300], &part[..], &whole[304..])
            );
        }
        // SAFETY: there are so many.
        ok(unsafe { lanestep_set_state(handle.0, EXP_AVG, 0, LEN, whole.as_ptr()) }).unwrap();
        if format != LanestepFormat::Block8 {
            assert_eq!(read(&handle, EXP_AVG, 0, LEN), whole);
        }
    }
}

#[test]
fn copies_go_on_by_themselves_and_files_go_on_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = CString::new(folder.path().join("run").to_str().unwrap()).unwrap();
    let handle = Handle::with(GROUPS, LAYOUT).unwrap();
    let (mut twin, mut mine, mut others) = (twin(), params(), params());
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_set_ema(handle.0, 0.5) }).unwrap();
    twin.set_ema(0.5).unwrap();
    step_both(&handle, &mut mine, &mut twin, &mut others, 1);
    let (mut out, mut loaded) = (null_mut(), null_mut());
    let p = mine.as_mut_ptr();
    let parts = [tensor(p, null_mut(), 600), tensor(p.wrapping_add(600), null_mut(), 400)];
    let extra = c"{\"loss\": 0.1, \"epoch\": [1, null]}";
    let mut read_back = vec![0.0; LEN];
    let q = read_back.as_mut_ptr();
    let places = [tensor(q, null_mut(), 600), tensor(q.wrapping_add(600), null_mut(), 400)];
    // SAFETY: all pointers are whole.
    unsafe {
        ok(lanestep_clone(handle.0, &mut out)).unwrap();
        ok(lanestep_save(handle.0, path.as_ptr(), parts.as_ptr(), 2, extra.as_ptr())).unwrap();
        ok(lanestep_load(path.as_ptr(), null(), places.as_ptr(), 2, &mut loaded)).unwrap();
    }
    assert_eq!(read_back, mine);
    // SAFETY: all pointers are whole.
    let told = json(|out| unsafe { lanestep_load_extra(path.as_ptr(), out) });
    assert_eq!(told, value!({"loss": 0.1, "epoch": [1, null]}));
    let (copy, loaded) = (Handle(out), Handle(loaded));
    assert_eq!(loaded.json(lanestep_groups), handle.json(lanestep_groups));
    let mut copied = mine.clone();
    let mut twin_of_copy = twin.try_clone().unwrap();
    step_both(&handle, &mut mine, &mut twin, &mut others, 2);
    step_both(&copy, &mut copied, &mut twin_of_copy, &mut read_back.clone(), 2);
    let mut g = grads(2);
    loaded.step(&[tensor(read_back.as_mut_ptr(), g.as_mut_ptr(), LEN)], None).unwrap();
    assert_eq!((&mine, &mine), (&copied, &read_back));
    for handle in [&handle, &copy, &loaded] {
        let mut average = vec![0.0; LEN];
        // SAFETY: there is room for them.
        ok(unsafe { lanestep_read_ema(handle.0, 0, LEN, average.as_mut_ptr()) }).unwrap();
        assert_eq!(average, twin.ema().unwrap());
    }
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_save(handle.0, path.as_ptr(), null(), 0, null()) }).unwrap();
    // SAFETY: all pointers are whole.
    assert_eq!(json(|out| unsafe { lanestep_load_extra(path.as_ptr(), out) }), value!(null));
}

fn ema(handle: &Handle) -> (i32, f64) {
    let (mut ema, mut decay) = (-1, -1.0);
    // SAFETY: both pointers are whole.
    ok(unsafe { lanestep_ema(handle.0, &mut ema, &mut decay) }).unwrap();
    (ema, decay)
}

#[test]
fn averages_wait_are_kept_change_places_and_end() {
    let handle = Handle::with(GROUPS, LAYOUT).unwrap();
    let (mut twin, mut mine, mut others) = (twin(), params(), params());
    assert_eq!((ema(&handle).0, ema(&handle).1.is_nan()), (LanestepEma::None as i32, true));
    // SAFETY: the pointer is whole.
    ok(unsafe { lanestep_set_ema(handle.0, 0.75) }).unwrap();
    twin.set_ema(0.75).unwrap();
    assert_eq!(ema(&handle), (LanestepEma::Waiting as i32, 0.75));
    for k in 1..4 {
        step_both(&handle, &mut mine, &mut twin, &mut others, k);
    }
    assert_eq!(ema(&handle), (LanestepEma::Kept as i32, 0.75));
    let mut average = vec![0.0; 300];
    // SAFETY: there is room for them.
    ok(unsafe { lanestep_read_ema(handle.0, 500, 800, average.as_mut_ptr()) }).unwrap();
    assert_eq!(average, twin.ema().unwrap()[500..800]);
    let (whole, kept) = (twin.ema().unwrap().to_vec(), mine.clone());
    let all = [tensor(mine.as_mut_ptr(), null_mut(), LEN)];
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_swap_ema(handle.0, all.as_ptr(), 1) }).unwrap();
    assert_eq!((&mine, ema(&handle).0), (&whole, LanestepEma::Swapped as i32));
    let mut clone = null_mut();
    // SAFETY: all pointers are whole.
    let refused = unsafe {
        ok(lanestep_clone(handle.0, &mut clone)).unwrap();
        [
            lanestep_step(handle.0, all.as_ptr(), 1, null(), null_mut()),
            lanestep_end_ema(handle.0),
            lanestep_read_ema(handle.0, 0, 300, average.as_mut_ptr()),
            lanestep_restore_ema(handle.0, whole.as_ptr(), LEN),
            lanestep_save(handle.0, c"none".as_ptr(), null(), 0, null()),
        ]
    };
    assert_eq!((refused, ema(&Handle(clone)).0), ([LanestepStatus::State; 5], LanestepEma::Swapped as i32));
    assert!(message().contains("swap"), "{}", message());
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_swap_ema(handle.0, all.as_ptr(), 1) }).unwrap();
    assert_eq!((&mine, ema(&handle).0), (&kept, LanestepEma::Kept as i32));
    // SAFETY: there are so many.
    ok(unsafe { lanestep_restore_ema(handle.0, kept.as_ptr(), LEN) }).unwrap();
    twin.restore_ema(&kept).unwrap();
    step_both(&handle, &mut mine, &mut twin, &mut others, 4);
    let mut now = vec![0.0; LEN];
    // SAFETY: there is room for them.
    ok(unsafe { lanestep_read_ema(handle.0, 0, LEN, now.as_mut_ptr()) }).unwrap();
    assert_eq!(now, twin.ema().unwrap());
    // SAFETY: the pointer is whole.
    ok(unsafe { lanestep_end_ema(handle.0) }).unwrap();
    assert_eq!(ema(&handle).0, LanestepEma::None as i32);
}

#[test]
fn split_parameters_have_the_bits_of_whole_ones() {
    let handle = Handle::with(GROUPS, LAYOUT).unwrap();
    let (mut twin, mut whole, mut halves) = (twin(), params(), vec![0_u16; LEN]);
    whole.iter_mut().for_each(|p| *p += 1e-4);
    let of = |halves: &mut [u16], grads: *mut f32| LanestepTensor {
        params_format: LanestepFormat::Bf16 as i32,
        ..tensor(halves.as_mut_ptr().cast(), grads, LEN)
    };
    let (mut split, mut masters) = (-1, vec![0.0; LEN]);
    let parameters = of(&mut halves, null_mut());
    // SAFETY: all pointers are whole.
    unsafe {
        ok(lanestep_set_split(handle.0, 1)).unwrap();
        ok(lanestep_split(handle.0, &mut split)).unwrap();
        ok(lanestep_set_masters(handle.0, whole.as_ptr(), LEN, &parameters, 1)).unwrap();
    }
    for k in 0..3 {
        let mut grads = grads(k);
        handle.step(&[of(&mut halves, grads.as_mut_ptr())], None).unwrap();
        twin.step(&mut whole, &grads).unwrap();
    }
    let parameters = of(&mut halves, null_mut());
    // SAFETY: all pointers are whole.
    ok(unsafe { lanestep_masters(handle.0, &parameters, 1, masters.as_mut_ptr(), LEN) }).unwrap();
    assert_eq!((split, masters), (1, whole.clone()));
    let in_f32 = [tensor(whole.as_mut_ptr(), null_mut(), LEN)];
    // SAFETY: all pointers are whole.
    let status = unsafe { lanestep_step(handle.0, in_f32.as_ptr(), 1, null(), null_mut()) };
    assert_eq!(status, LanestepStatus::Format);
}

/// Every format of parameters with every one of gradients and of mirrors, beside the crate's own tensors.
#[test]
fn formats_of_tensors_and_rounding() {
    let numbers = params();
    for seed in [None, Some(7)] {
        let handle = Handle::with(GROUPS, LAYOUT).unwrap();
        let mut twin = twin();
        let (mut rounding, mut told) = (-1, u64::MAX);
        // SAFETY: all pointers are whole.
        unsafe {
            ok(lanestep_set_rounding(handle.0, i32::from(seed.is_some()), seed.unwrap_or(5))).unwrap();
            ok(lanestep_rounding(handle.0, &mut rounding, &mut told)).unwrap();
            ok(lanestep_set_state_format(handle.0, EXP_AVG, LanestepFormat::Bf16 as i32)).unwrap();
        }
        assert_eq!((rounding, told), (i32::from(seed.is_some()), seed.unwrap_or(0)));
        twin.set_rounding(seed.map_or(Rounding::Nearest, |seed| Rounding::Stochastic { seed }));
        twin.set_state_format("exp_avg", Format::Bf16).unwrap();
        let mut wide = numbers.clone();
        let mut brain: Vec<bf16> = numbers.iter().map(|p| bf16::from_f32(*p)).collect();
        let mut halves: Vec<f16> = numbers.iter().map(|p| f16::from_f32(*p)).collect();
        let (mut wide_twin, mut brain_twin, mut halves_twin) = (wide.clone(), brain.clone(), halves.clone());
        let formats = [0, 1, 2];
        for (params_format, grads_format) in formats.iter().flat_map(|p| formats.map(|g| (*p, g))) {
            let mirror_format = (params_format + grads_format) % 3;
            let mut grads = grads(1);
            let mut brain_grads: Vec<bf16> = grads.iter().map(|g| bf16::from_f32(*g)).collect();
            let mut half_grads: Vec<f16> = grads.iter().map(|g| f16::from_f32(*g)).collect();
            let mut copy = vec![0_u32; LEN];
            let raw = LanestepTensor {
                params: match params_format {
                    0 => wide.as_mut_ptr().cast(),
                    1 => brain.as_mut_ptr().cast(),
                    _ => halves.as_mut_ptr().cast(),
                },
                grads: match grads_format {
                    0 => grads.as_mut_ptr().cast(),
                    1 => brain_grads.as_mut_ptr().cast(),
                    _ => half_grads.as_mut_ptr().cast(),
                },
                mirror: copy.as_mut_ptr().cast(),
                params_format,
                grads_format,
                mirror_format,
                zero_grads: 1,
                ..tensor(null_mut(), null_mut(), LEN)
            };
            let (mut grads_twin, mut brain_grads_twin, mut half_grads_twin) =
                (grads.clone(), brain_grads.clone(), half_grads.clone());
            handle.step(&[raw], None).unwrap();
            macro_rules! with_grads {
                ($params:expr) => {
                    match grads_format {
                        0 => Tensor::zeroing($params, &mut grads_twin),
                        1 => Tensor::zeroing($params, &mut brain_grads_twin),
                        _ => Tensor::zeroing($params, &mut half_grads_twin),
                    }
                };
            }
            let of = match params_format {
                0 => with_grads!(&mut wide_twin),
                1 => with_grads!(&mut brain_twin),
                _ => with_grads!(&mut halves_twin),
            };
            let (mut m32, mut mb, mut mh) = (vec![0.0_f32; LEN], vec![bf16::ZERO; LEN], vec![f16::ZERO; LEN]);
            let of = match mirror_format {
                0 => of.mirrored(&mut m32),
                1 => of.mirrored(&mut mb),
                _ => of.mirrored(&mut mh),
            };
            twin.step_with(&mut [of], &Pipeline::default()).unwrap();
            let bits: Vec<u32> = match mirror_format {
                0 => m32.iter().map(|m| m.to_bits()).collect(),
                1 => pairs(mb.iter().map(|m| m.to_bits())),
                _ => pairs(mh.iter().map(|m| m.to_bits())),
            };
            assert!(copy[..bits.len()] == bits, "mirror of {params_format} {grads_format}");
            assert!(wide == wide_twin && brain == brain_twin && halves == halves_twin);
            assert!(grads == grads_twin && brain_grads == brain_grads_twin && half_grads == half_grads_twin);
        }
    }
}

/// As they lie in memory.
fn pairs(bits: impl Iterator<Item = u16>) -> Vec<u32> {
    let bits: Vec<u16> = bits.collect();
    let pair = |pair: &[u16]| {
        u32::from_ne_bytes([pair[0].to_ne_bytes(), pair[1].to_ne_bytes()].concat().try_into().unwrap())
    };
    bits.chunks(2).map(pair).collect()
}
