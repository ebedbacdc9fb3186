"""Runs a test binary of wasm32-wasip1, for which the current folder is the root as well: `python wasi.py tests.wasm ARGUMENTS`."""

import os
import sys

from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig

wasi = WasiConfig()
wasi.argv = sys.argv[1:]
wasi.env = os.environ.items()
wasi.inherit_stdin()
wasi.inherit_stdout()
wasi.inherit_stderr()
wasi.preopen_dir(".", "/")
wasi.preopen_dir(".", os.getcwd())

engine = Engine()
linker = Linker(engine)
linker.define_wasi()
store = Store(engine)
store.set_wasi(wasi)
try:
    instance = linker.instantiate(store, Module.from_file(engine, sys.argv[1]))
    instance.exports(store)["_start"](store)
except ExitTrap as exit:
    sys.exit(exit.code)
