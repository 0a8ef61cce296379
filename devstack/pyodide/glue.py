"""Adapt Emscripten's JavaScript from npm's `pyodide` to workerd by text substitutions.

workerd forbids `eval` and compiling WebAssembly at run time, has no entropy during start-up, and records the addresses
of shared libraries itself. Its module `pyodide-internal:builtin_wrappers` exports replacements. The source of that
module is in the binary of npm's `workerd` (`strings workerd | grep -A200 builtin_wrappers`). Official bundles are built
from the same Pyodide with similar substitutions.

Each substitution declares the number of its matches. A different number is an error, because without the substitution
the Worker would fail at its first request.
"""

from typing import NamedTuple


class SubstitutionError(Exception):
    """A substitution has an unexpected number of matches: `SUBSTITUTIONS` does not fit this version of Pyodide."""


class Substitution(NamedTuple):
    """A replacement of `old`, which must occur `times` times, with `new`; `why` is the reason."""

    why: str
    old: str
    new: str
    times: int


SUBSTITUTIONS = (
    Substitution(
        "workerd's function replaces the constructor; it checks that its caller is in this module and, after start-up,"
        " the calling function's name, so the call must stay in the same place",
        "new WebAssembly.Module(",
        "newWasmModule(",
        4,
    ),
    Substitution(
        "instantiate() compiles too; instantiateStreaming() is unused, because workerd provides the main module",
        "await WebAssembly.instantiate(",
        "await wasmInstantiate(",
        2,
    ),
    Substitution(
        "workerd's clock advances only with I/O, but Python's import system detects a changed folder by its new"
        " modification time",
        "Date.now",
        "monotonicDateNow",
        22,
    ),
    Substitution(
        "workerd has no entropy during start-up; its function uses Module to decide which random bytes are allowed",
        "crypto.getRandomValues(view)",
        "getRandomValues(Module,view)",
        1,
    ),
    Substitution(
        "workerd forbids eval; only emscripten_run_script, and EM_ASM and EM_JS in side modules, use it, and no wheel"
        " of the Worker needs them",
        "eval(",
        "refuseEval(",
        6,
    ),
    Substitution(
        "workerd's function reads and compiles libraries from its read-only file system only",
        "return loadWebAssemblyModule(loadLibData(),flags,libName,localScope,handle)",
        "return loadWebAssemblyModule(patchedLoadLibData(Module,libName,flags.rpath),flags,libName,localScope,handle)",
        1,
    ),
    Substitution(
        "workerd records each library's address, so that a memory snapshot can restore it",
        "alignMemory(getMemory(metadata.memorySize+memAlign),memAlign)",
        "alignMemory(Module.getMemoryPatched(Module,libName,metadata.memorySize+memAlign),memAlign)",
        1,
    ),
    Substitution(
        "libraries are loaded one by one, so the next one may define a symbol that is still undefined",
        "if(!flags.allowUndefined){reportUndefinedSymbols()}",
        "if(!flags.allowUndefined){Module.reportUndefinedSymbolsNoOp()}",
        1,
    ),
    Substitution(
        "no library is loaded at the start, so a later one may define a symbol that is still undefined",
        "if(!dynamicLibraries.length){reportUndefinedSymbols();return}",
        "if(!dynamicLibraries.length){Module.reportUndefinedSymbolsNoOp();return}",
        1,
    ),
    Substitution(
        "a later library may define a symbol that is still undefined after the first libraries are loaded",
        'reportUndefinedSymbols();removeRunDependency("loadDylibs")',
        'Module.reportUndefinedSymbolsNoOp();removeRunDependency("loadDylibs")',
        1,
    ),
    Substitution(
        "workerd imports the factory function by its name, not as the default export",
        "export default _createPyodideModule;",
        "export{_createPyodideModule};",
        1,
    ),
)

# `location` and `addEventListener` replace globals that a Worker does not have.
PROLOGUE = """\
import {
  addEventListener, getRandomValues, location, monotonicDateNow, newWasmModule, patchedLoadLibData, wasmInstantiate,
} from 'pyodide-internal:builtin_wrappers';
function refuseEval() { throw new Error('eval is not available in workerd'); }
"""


def adapt(javascript: str) -> str:
    """Return the source of npm's `pyodide.asm.mjs` as a module that workerd can import.

    Raises:
        SubstitutionError: a substitution has an unexpected number of matches.
    """
    for _, old, new, times in SUBSTITUTIONS:
        if (count := javascript.count(old)) != times:
            raise SubstitutionError(f"a substitution matches {count} times instead of {times}: {old}")
        javascript = javascript.replace(old, new)
    return PROLOGUE + javascript
