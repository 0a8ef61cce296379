# The JavaScript globals that the Worker uses. They exist only in workerd.
from typing import Any

console: Any
