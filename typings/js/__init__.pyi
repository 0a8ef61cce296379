# What this Worker uses of JavaScript's global objects, which exist in workerd alone.
from typing import Any

console: Any
