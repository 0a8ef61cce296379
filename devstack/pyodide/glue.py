"""Adapt Emscripten's JavaScript from npm's `pyodide` to workerd: the substitutions, each with its reason.

workerd forbids `eval` and compiling WebAssembly at run time, has no entropy during start-up, and keeps the addresses of
shared libraries itself. Its own module `pyodide-internal:builtin_wrappers` exports stand-ins for what it forbids; its
text is readable in the binary of npm's `workerd` (`strings workerd | grep -A200 builtin_wrappers`). Official bundles
are built from the same Pyodide with the same kind of substitution.

A substitution that does not match exactly as often as it says is an error that names it: a silent skip would be a
Worker that fails at its first request.
"""

from __future__ import annotations

from typing import NamedTuple


class SubstitutionError(Exception):
    """A substitution matched another number of times than it says: this Pyodide needs another table."""


class Substitution(NamedTuple):
    """Replace `old` by `new`, which has to match `times` times."""

    name: str
    why: str
    old: str
    new: str
    times: int


SUBSTITUTIONS = (
    Substitution(
        "compile",
        "workerd compiles for us; it checks that the caller is this module and, after start-up, the calling function's"
        " own name, so the call stays where the constructor stood",
        "new WebAssembly.Module(",
        "newWasmModule(",
        4,
    ),
    Substitution(
        "instantiate",
        "the asynchronous form compiles too; the streaming one is never reached, workerd hands over the main module",
        "await WebAssembly.instantiate(",
        "await wasmInstantiate(",
        2,
    ),
    Substitution(
        "clock",
        "workerd's clock stands still between I/O, and Python's import system trusts directory times that advance",
        "Date.now",
        "monotonicDateNow",
        22,
    ),
    Substitution(
        "entropy",
        "there is none during start-up; workerd decides by Module what may be drawn and when",
        "crypto.getRandomValues(view)",
        "getRandomValues(Module,view)",
        1,
    ),
    Substitution(
        "eval",
        "forbidden; only EM_ASM and EM_JS of side modules and emscripten_run_script need it, and our wheels have none",
        "eval(",
        "refuseEval(",
        6,
    ),
    Substitution(
        "shared library data",
        "workerd reads and compiles the file from its read-only file system, from nowhere else",
        "return loadWebAssemblyModule(loadLibData(),flags,libName,localScope,handle)",
        "return loadWebAssemblyModule(patchedLoadLibData(Module,libName,flags.rpath),flags,libName,localScope,handle)",
        1,
    ),
    Substitution(
        "shared library memory",
        "workerd records where each library lies, so that a memory snapshot can put it there again",
        "alignMemory(getMemory(metadata.memorySize+memAlign),memAlign)",
        "alignMemory(Module.getMemoryPatched(Module,libName,metadata.memorySize+memAlign),memAlign)",
        1,
    ),
    Substitution(
        "undefined symbols of a side module",
        "libraries load one by one, so a symbol may be defined by a later one",
        "if(!flags.allowUndefined){reportUndefinedSymbols()}",
        "if(!flags.allowUndefined){Module.reportUndefinedSymbolsNoOp()}",
        1,
    ),
    Substitution(
        "undefined symbols at start, without libraries",
        "the same, before any library is loaded",
        "if(!dynamicLibraries.length){reportUndefinedSymbols();return}",
        "if(!dynamicLibraries.length){Module.reportUndefinedSymbolsNoOp();return}",
        1,
    ),
    Substitution(
        "undefined symbols at start, with libraries",
        "the same, after them",
        'reportUndefinedSymbols();removeRunDependency("loadDylibs")',
        'Module.reportUndefinedSymbolsNoOp();removeRunDependency("loadDylibs")',
        1,
    ),
    Substitution(
        "export",
        "workerd imports the factory by name",
        "export default _createPyodideModule;",
        "export{_createPyodideModule};",
        1,
    ),
)

# `location` and `addEventListener` are not called here by name alone: they shadow globals that a Worker does not have.
PROLOGUE = """\
import {
  addEventListener, getRandomValues, location, monotonicDateNow, newWasmModule, patchedLoadLibData, wasmInstantiate,
} from 'pyodide-internal:builtin_wrappers';
function refuseEval() { throw new Error('eval is not available in workerd'); }
"""


def adapt(javascript: str) -> str:
    """Return the text of npm's `pyodide.asm.mjs` as a module that workerd can import.

    Raises:
        SubstitutionError: a substitution does not match as often as it says.
    """
    for name, _, old, new, times in SUBSTITUTIONS:
        if (found := javascript.count(old)) != times:
            raise SubstitutionError(f"the substitution {name!r} matches {found} times in place of {times}: {old}")
        javascript = javascript.replace(old, new)
    return PROLOGUE + javascript
