// In Pyodide, import the Worker's code from a folder, trigger its lazy imports, and print the paths of the imported
// files as JSON. A stub replaces `workers`, which needs workerd.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { loadPyodide } from "pyodide";

const python = await loadPyodide({ env: {} });

function copy(from, to) {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), `${to}/${entry.name}`];
    if (entry.isDirectory()) {
      python.FS.mkdirTree(target);
      copy(source, target);
    } else {
      python.FS.writeFile(target, readFileSync(source));
    }
  }
}

python.FS.mkdir("/bundle");
copy(process.argv[2], "/bundle");
const imported = python.runPython(`
import json, sys, types
sys.path[:0] = ["/bundle", "/bundle/python_modules"]
workers = types.ModuleType("workers")
workers.import_from_javascript = workers.wait_until = lambda _: None
workers.WorkerEntrypoint = object
sys.modules["workers"] = workers

import entry, importlib, pathlib
for path in pathlib.Path("/bundle/signup").rglob("*.py"):
    importlib.import_module(".".join(path.relative_to("/bundle").with_suffix("").parts))
from signup.fields.disposable_domains import is_disposable
from signup.fields.email_address import canonical
from signup.runtime.server import FetchTransport
from signup.http_client import Http
from signup.fields.models import Rules, SignUpRequest
from signup.i18n.catalog import LANGUAGES, texts
from signup.openapi.document import document
from signup.pages.sign_up_page import Page
from signup.problems import ValidationFailed
from signup.database.dialects.choose import choose
from signup.settings import Settings
from pydantic import BaseModel, SecretStr

settings = Settings(database_url=SecretStr("sql+http://token@127.0.0.1:1/"))
document(settings)
for language in LANGUAGES:
    assert b"</html>" in Page(settings, texts(language)).form("key", {})
assert is_disposable("mailinator.com")
assert canonical("ada@b\\u00fccher.example") == "ada@xn--bcher-kva.example"
try:
    SignUpRequest.from_object({"name": 1, "more": 2}, Rules())
except ValidationFailed as problem:
    assert len(problem.errors) == 4
for url in (
    "sql+https://token@host/",
    "postgres://user:password@ep-name.region.aws.neon.tech/db",
    "postgres://id:key@db.prisma.io:5432/postgres",
    "prisma+postgres://host/?api_key=key",
):
    choose(SecretStr(url), Http(FetchTransport(), 5), print)

def rebuild(model):
    for each in model.__subclasses__():
        each.model_rebuild()
        rebuild(each)

rebuild(BaseModel)
json.dumps(sorted(
    str(module.__file__).removeprefix("/bundle/")
    for module in list(sys.modules.values())
    if str(getattr(module, "__file__", "")).startswith("/bundle/")
))
`);
console.log(imported);
