"""Adapt Emscripten's JavaScript from npm's `pyodide` to workerd by text substitutions.

workerd forbids `eval` and compiling WebAssembly at run time, has no entropy during start-up, and keeps the addresses of
shared libraries itself. Its module `pyodide-internal:builtin_wrappers` exports replacements; its source can be read in
the binary of npm's `workerd` (`strings workerd | grep -A200 builtin_wrappers`). Official bundles are built from the
same Pyodide with similar substitutions.

A substitution must match exactly as often as it declares. A mismatch is an error: if it were skipped, the Worker would
fail at its first request.
"""

from typing import NamedTuple


class SubstitutionError(Exception):
    """A substitution does not match as often as it declares: `SUBSTITUTIONS` does not fit this Pyodide."""


class Substitution(NamedTuple):
    """A replacement of `old`, which must occur `times` times, by `new`; `why` is the reason."""

    why: str
    old: str
    new: str
    times: int


SUBSTITUTIONS = (
    Substitution(
        "workerd compiles instead; it checks that the caller is this module and, after start-up, the calling"
        " function's name, so the call must replace the constructor in place",
        "new WebAssembly.Module(",
        "newWasmModule(",
        4,
    ),
    Substitution(
        "the asynchronous form compiles too; the streaming one is unused, because workerd provides the main module",
        "await WebAssembly.instantiate(",
        "await wasmInstantiate(",
        2,
    ),
    Substitution(
        "workerd's clock only advances with I/O, but Python's import system relies on advancing directory times",
        "Date.now",
        "monotonicDateNow",
        22,
    ),
    Substitution(
        "there is none during start-up; workerd decides by Module which random bytes are allowed and when",
        "crypto.getRandomValues(view)",
        "getRandomValues(Module,view)",
        1,
    ),
    Substitution(
        "forbidden; only EM_ASM and EM_JS of side modules and emscripten_run_script use it, and our wheels do not",
        "eval(",
        "refuseEval(",
        6,
    ),
    Substitution(
        "workerd only reads and compiles files of its read-only file system",
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
        "libraries are loaded one by one, so a later one may define the symbol",
        "if(!flags.allowUndefined){reportUndefinedSymbols()}",
        "if(!flags.allowUndefined){Module.reportUndefinedSymbolsNoOp()}",
        1,
    ),
    Substitution(
        "the same at the start, before any library is loaded",
        "if(!dynamicLibraries.length){reportUndefinedSymbols();return}",
        "if(!dynamicLibraries.length){Module.reportUndefinedSymbolsNoOp();return}",
        1,
    ),
    Substitution(
        "the same at the start, after the libraries",
        'reportUndefinedSymbols();removeRunDependency("loadDylibs")',
        'Module.reportUndefinedSymbolsNoOp();removeRunDependency("loadDylibs")',
        1,
    ),
    Substitution(
        "workerd imports the factory by name",
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
        SubstitutionError: a substitution does not match as often as it declares.
    """
    for _, old, new, times in SUBSTITUTIONS:
        if (found := javascript.count(old)) != times:
            raise SubstitutionError(f"a substitution matches {found} times in place of {times}: {old}")
        javascript = javascript.replace(old, new)
    return PROLOGUE + javascript
