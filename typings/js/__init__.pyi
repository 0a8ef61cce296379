# The JavaScript globals that the Worker uses; they exist only in workerd.
from typing import Any

console: Any
