"""Data proxies, selected by DATABASE_URL. `choose.FORMS` lists the forms of the URL."""

from signup.database.dialects.choose import choose
from signup.database.proxy import DataProxy, Rows

__all__ = ["DataProxy", "Rows", "choose"]
