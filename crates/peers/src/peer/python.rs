//! PyTorch's optimizers and DeepSpeed's, each in a process of its own, which waits for lines on its standard input.

use super::{About, Found, Peer, Run};
use crate::case::{Case, Format, MAX_NORM, Work};
use crate::data::Numbers;
use anyhow::{Context, Result, bail};
use bytemuck::cast_slice;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A name, what the worker calls it, its format.
const PEERS: [(&str, &str, Format); 7] = [
    ("torch", "default", Format::F32),
    ("torch, foreach", "foreach", Format::F32),
    ("torch, fused", "fused", Format::F32),
    ("DeepSpeed CPUAdam", "deepspeed", Format::F32),
    ("torch, bf16", "default", Format::Bf16),
    ("torch, foreach, bf16", "foreach", Format::Bf16),
    ("torch, fused, bf16", "fused", Format::Bf16),
];

pub(crate) fn all(python: &Path, threads: usize, asked: &dyn Fn(&str) -> bool) -> Vec<Found> {
    let peer = |(name, optimizer, format)| {
        let worker = Worker::start(name, optimizer, format, python, threads);
        (name, worker.map(|worker| Box::new(worker) as Box<dyn Peer>))
    };
    PEERS.into_iter().filter(|(name, ..)| asked(name)).map(peer).collect()
}

/// Makes an environment with what the worker needs where there is none.
pub(crate) fn environment(folder: &Path) -> Result<()> {
    let python = interpreter(folder);
    if python.exists() {
        return Ok(());
    }
    let run = |command: &mut Command| -> Result<()> {
        let status = command.stdout(Stdio::null()).status().with_context(|| format!("{command:?}"))?;
        if status.success() { Ok(()) } else { bail!("{command:?} failed") }
    };
    let install = |packages: &[&str]| {
        // Nothing of DeepSpeed is compiled before it is used.
        let quiet = [("DS_BUILD_OPS", "0"), ("DS_SKIP_CUDA_CHECK", "1")];
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages).envs(quiet))
    };
    eprintln!("installs PyTorch and DeepSpeed in {}", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    install(&["torch", "numpy", "ninja", "setuptools", "wheel"])?;
    // Its setup asks for the PyTorch that is there.
    install(&["--no-build-isolation", "deepspeed"])
}

/// Of an environment.
pub(crate) fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

struct Worker {
    name: &'static str,
    version: String,
    format: Format,
    threads: usize,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// For numbers on their way.
    folder: TempDir,
}

impl Worker {
    fn start(
        name: &'static str,
        optimizer: &str,
        format: Format,
        python: &Path,
        threads: usize,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("worker.py");
        std::fs::write(&source, include_str!("worker.py"))?;
        // DeepSpeed looks for `ninja` in the path.
        let beside = python.parent().unwrap_or(python).to_path_buf();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([beside].into_iter().chain(std::env::split_paths(&path)))?;
        let mut child = Command::new(python)
            .arg(source)
            .args([optimizer, &threads.to_string()])
            .envs([("DS_SKIP_CUDA_CHECK", "1"), ("DS_ACCELERATOR", "cpu")])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}", python.display()))?;
        let (to, from) = (child.stdin.take().context("a pipe")?, child.stdout.take().context("a pipe")?);
        let version = String::new();
        let mut worker =
            Self { name, version, format, threads, child, to, from: BufReader::new(from), folder };
        let version = worker.answer()?;
        worker.version = version.as_str().unwrap_or_default().to_owned();
        Ok(worker)
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.to, "{question}")?;
        self.to.flush()?;
        self.answer()
    }

    /// A line `{"ok": ...}` or `{"error": ...}`.
    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("its process has ended");
        }
        let mut answer: Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => bail!("{}", error.as_str().unwrap_or_default()),
            None => Ok(answer["ok"].take()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Peer for Worker {
    fn about(&self) -> About {
        About {
            name: self.name,
            version: self.version.clone(),
            format: self.format,
            clips: self.format == Format::F32,
            spins: self.threads > 1,
            ..About::default()
        }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run + '_>> {
        let [params, grads] = ["params", "grads"].map(|name| self.folder.path().join(name));
        for (file, tensors) in [(&params, &numbers.params), (&grads, &numbers.grads)] {
            let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
            tensors.iter().try_for_each(|tensor| file.write_all(cast_slice(tensor)))?;
            file.flush()?;
        }
        let max_norm = (case.work == Work::Clip).then_some(MAX_NORM);
        let question = json!({
            "do": "make", "lens": case.lens, "params": params, "grads": grads,
            "max_norm": max_norm, "bf16": self.format == Format::Bf16,
        });
        self.ask(&question)?;
        // Before the system begins to write them to its disk.
        std::fs::remove_file(params)?;
        std::fs::remove_file(grads)?;
        Ok(Box::new(Remote(self)))
    }

    fn pid(&self) -> Option<u32> {
        Some(self.child.id())
    }
}

struct Remote<'a>(&'a mut Worker);

impl Run for Remote<'_> {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        let seconds = self.0.ask(&json!({"do": "steps", "count": count}))?;
        Ok(Duration::from_secs_f64(seconds.as_f64().context("seconds")?))
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        self.0.ask(&json!({"do": "scale", "factor": factor})).map(drop)
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        let file = self.0.folder.path().join("found");
        self.0.ask(&json!({"do": "params", "file": file}))?;
        let bytes = std::fs::read(&file)?;
        std::fs::remove_file(file)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect())
    }
}

impl Drop for Remote<'_> {
    fn drop(&mut self) {
        // What fails here will fail again where it is seen.
        _ = self.0.ask(&json!({"do": "drop"}));
    }
}
