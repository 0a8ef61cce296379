"""A sign-up with FastAPI in a Python Worker, following Cloudflare's examples."""

import json
from typing import Annotated, Any

import js
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, EmailStr, StringConstraints
from pyodide.ffi import to_js
from workers import WorkerEntrypoint, import_from_javascript

INSERT = """\
INSERT INTO "User" ("name", "email", "password") VALUES ($1, $2, $3)
ON CONFLICT ("email") DO NOTHING RETURNING "id", "name", "email", "created_at"
"""


class Default(WorkerEntrypoint):
    """The entry point of the Worker."""

    async def fetch(self, request: Any) -> Any:
        """Pass the request to FastAPI."""
        import asgi  # noqa: PLC0415 - as in Cloudflare's examples

        return await asgi.fetch(app, request.js_object, self.env)


app = FastAPI()


class SignUp(BaseModel):
    """The body of a sign-up request."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    email: EmailStr
    password: Annotated[str, StringConstraints(min_length=15, max_length=128)]


@app.post("/")
async def sign_up(sign_up: SignUp, request: Request) -> JSONResponse:
    """Create a user."""
    env = request.scope["env"]
    hashed = await import_from_javascript("./argon2id.mjs").hash(sign_up.password)
    statement = {"query": INSERT, "params": [sign_up.name, sign_up.email, hashed]}
    headers = {"content-type": "application/json", "authorization": env.AUTHORIZATION}
    options = {"method": "POST", "headers": headers, "body": json.dumps(statement)}
    response = await js.fetch(env.ENDPOINT, to_js(options, dict_converter=js.Object.fromEntries))
    rows = json.loads(await response.text())["rows"]
    if not rows:
        return JSONResponse({"msg": "Email taken"}, status_code=409)
    return JSONResponse({"msg": "User created", "user": rows[0]}, status_code=201)
