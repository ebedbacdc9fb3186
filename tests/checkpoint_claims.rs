//! A file that claims to be huge is a typed error, and takes no memory. In a process of its own, with a limit.

fn main() {
    #[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "checkpoint"))]
    linux::main();
    #[cfg(not(all(target_os = "linux", target_pointer_width = "64", feature = "checkpoint")))]
    println!("skipped: it needs 64-bit Linux and feature `checkpoint`");
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", feature = "checkpoint"))]
mod linux {
    use lanestep::checkpoint::{Checkpoint, Error};
    use lanestep::{AdamW, AnyRule, Error as Refused, Layout, Sgd};
    use serde_json::{Value, json};
    use std::env;
    use std::fs::{self, File};
    use std::io::{Cursor, ErrorKind, Write};
    use std::path::Path;
    use std::process::Command;

    const MIB: usize = 1 << 20;
    const HUGE: [usize; 2] = [1 << 40, 1 << 60];
    const CHILD: &str = "LANESTEP_CHECKPOINT_CLAIMS_TEST";

    pub(super) fn main() {
        if env::var_os(CHILD).is_some() {
            // What takes any of these at its word ends the process.
            assert!(Vec::<u8>::new().try_reserve_exact(256 * MIB).is_err(), "there is a limit");
            headers();
            parameters();
            return extras();
        }
        // In KiB. A process needs some of it for itself.
        let script = "ulimit -v 262144 && exec \"$0\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(env::current_exe().unwrap()).env(CHILD, "1");
        assert!(shell.status().unwrap().success(), "with little memory");
        println!("test result: ok. 3 passed; 0 failed");
    }

    fn headers() {
        let error = open((1_u64 << 60).to_le_bytes());
        assert!(matches!(error, Err(Error::HeaderLength { found, .. }) if found == 1 << 60), "{error:?}");
        let error = open(99_999_999_u64.to_le_bytes());
        assert!(matches!(error, Err(Error::FileLength { expected: 100_000_007, found: 8 })), "{error:?}");
        let error = open(behind_its_length("[".repeat(MIB).as_bytes()));
        assert!(matches!(error, Err(Error::Header { .. })), "{error:?}");
        let deep = record(10, json!([[0, 10]])).to_string().replace("0.001", &"[".repeat(MIB));
        let error = open(file(&deep, json!({})));
        assert!(matches!(error, Err(Error::Record { .. })), "{error:?}");

        let ten = record(10, json!([[0, 10]])).to_string();
        for len in HUGE {
            let error = open(file(&ten, json!({ "extra": tensor(0, len) })));
            assert!(
                matches!(error, Err(Error::FileLength { expected, .. }) if expected > len as u64),
                "{error:?}"
            );
        }
        // Of which each has a length, but not all together.
        let len = (1_usize << 61) - 1;
        let many = (0..8).map(|k| (k.to_string(), tensor(k * len, (k + 1) * len))).collect();
        let error = open(file(&ten, Value::Object(many)));
        assert!(matches!(error, Err(Error::FileLength { expected: u64::MAX, .. })), "{error:?}");
    }

    fn parameters() {
        for len in HUGE {
            let all = json!([[0, len]]);
            let unnamed = file(&record(len, &all).to_string(), json!({}));
            let named = file(&record(json!([["weight", [2, len / 2]]]), &all).to_string(), json!({}));
            for bytes in [&unnamed, &named] {
                let error = optimizer(bytes, 10);
                assert!(
                    matches!(error, Refused::Length { expected: 10, found, .. } if found == len),
                    "{error:?}"
                );
                // Of who expects what is there.
                let layout = open(bytes).unwrap().layout().clone();
                let error = optimizer(bytes, layout);
                assert!(matches!(error, Refused::Memory { slots: 2, len: of } if of == len), "{error:?}");
            }
            let error = optimizer(&named, Layout::new([("weight", 10)]).unwrap());
            assert!(
                matches!(error, Refused::TensorLength { expected: 10, found, .. } if found == len),
                "{error:?}"
            );
            let error = optimizer(&file(&record(10, &all).to_string(), json!({})), 10);
            assert!(matches!(error, Refused::OutOfRange { end, len: 10, .. } if end == len), "{error:?}");
            // No state, but an average of the parameters.
            let mut record = record(len, &all);
            record["param_groups"][0]["options"] =
                serde_json::to_value(AnyRule::from(Sgd::default())).unwrap();
            record["ema"] = json!({ "decay": 0.5, "begun": true });
            let error = optimizer(&file(&record.to_string(), json!({})), len);
            assert!(matches!(error, Refused::Memory { slots: 1, len: of } if of == len), "{error:?}");
        }
        let overflowing = record(json!([["a", [1_usize << 40, 1_usize << 40]]]), json!([[0, 10]]));
        let error = open(file(&overflowing.to_string(), json!({})));
        assert!(matches!(error, Err(Error::Optimizer(Refused::TooManyElements { .. }))), "{error:?}");

        let mut many = record(10, json!([[0, 10]]));
        many["param_groups"] = vec![many["param_groups"][0].clone(); 10_000].into();
        let error = optimizer(&file(&many.to_string(), json!({})), 10);
        assert!(matches!(error, Refused::Overlap { groups: (0, 1), .. }), "{error:?}");
    }

    fn extras() {
        let ten = record(10, json!([[0, 10]])).to_string();
        // Of bytes, a text, an array, a map in CBOR, and an array in an array and so on.
        let long = [0x5b, 0x7b, 0x9b, 0xbb].map(|of| [&[of][..], &(1_u64 << 60).to_be_bytes()].concat());
        for extra in long.into_iter().chain([vec![0x81; MIB]]) {
            let bytes = file(&ten, json!({ "extra": tensor(0, extra.len()) }));
            let bytes = [bytes, extra].concat();
            let errors = [
                open(&bytes).unwrap().extra::<ciborium::Value>().map(drop),
                open(&bytes).unwrap().extra::<Vec<u64>>().map(drop),
                open(&bytes).unwrap().extra::<String>().map(drop),
            ];
            for error in errors {
                assert!(matches!(error, Err(Error::Extra { .. })), "{error:?}");
            }
        }
        // A file that is really so long, with nothing on the disk.
        let bytes = file(&ten, json!({ "extra": tensor(0, 1 << 40) }));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("claims.safetensors");
        let mut sparse = File::create(&path).unwrap();
        sparse.write_all(&bytes).unwrap();
        sparse.set_len(bytes.len() as u64 + (1 << 40)).unwrap();
        let error = Checkpoint::open(&path).unwrap().extra::<Vec<u64>>();
        assert!(
            matches!(&error, Err(Error::Io(source)) if source.kind() == ErrorKind::OutOfMemory),
            "{error:?}"
        );
        fs::remove_file(path).unwrap();
    }

    fn open<B: AsRef<[u8]>>(bytes: B) -> Result<Checkpoint<Cursor<B>>, Error> {
        Checkpoint::read(Cursor::new(bytes))
    }

    fn optimizer(bytes: &[u8], layout: impl Into<Layout>) -> Refused {
        match open(bytes).unwrap().optimizer::<AnyRule>(layout) {
            Err(Error::Optimizer(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// What a file says of an optimizer with one group.
    fn record(parameters: impl Into<Value>, ranges: impl serde::Serialize) -> Value {
        let options = serde_json::to_value(AnyRule::from(AdamW::default())).unwrap();
        let group = json!({
            "options": options, "lr": 0.001, "lr_scale": 1.0, "frozen": false, "steps": 0, "ranges": ranges,
        });
        let (version, parameters) = (1, parameters.into());
        json!({ "version": version, "steps": 0, "parameters": parameters, "param_groups": [group], "ema": null, "checksums": null })
    }

    fn tensor(start: usize, end: usize) -> Value {
        json!({ "dtype": "U8", "shape": [end - start], "data_offsets": [start, end] })
    }

    /// In the form of safetensors, up to where the tensors begin.
    fn file(record: &str, mut tensors: Value) -> Vec<u8> {
        tensors["__metadata__"] = json!({ "lanestep": record });
        behind_its_length(tensors.to_string().as_bytes())
    }

    fn behind_its_length(header: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header].concat()
    }
}
