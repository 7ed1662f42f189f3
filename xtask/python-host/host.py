"""A host of its own: PyPI's Wasmtime, which is another build of it.

host.py settings OUT.cwasm    writes an empty module with this host's settings
host.py load IN.cwasm         loads an artifact
host.py run IN.cwasm          runs a WASI program and exits as it does
host.py run-wasm IN.wasm      the same, compiled by this host itself
"""

import sys
from pathlib import Path

from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig


def main(action: str, path: str) -> int:
    engine = Engine()
    if action == "settings":
        Path(path).write_bytes(Module(engine, "(module)").serialize())
        return 0
    content = Path(path).read_bytes()
    own = action == "run-wasm"
    module = Module(engine, content) if own else Module.deserialize(engine, content)
    print(f"loaded {Path(path).name}: {len(module.exports)} exports", file=sys.stderr)
    if action == "load":
        return 0
    linker = Linker(engine)
    linker.define_wasi()
    store = Store(engine)
    wasi = WasiConfig()
    wasi.inherit_stdout()
    wasi.argv = ("ledger",)
    store.set_wasi(wasi)
    start = linker.instantiate(store, module).exports(store)["_start"]
    try:
        start(store)
    except ExitTrap as exit:
        return exit.code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
