"""A sign-up endpoint for Cloudflare Python Workers.

Dependencies point inwards: `runtime` (workerd) → `composition` → `web` (HTTP) → `registration` (the use case) →
`database`, `fields` and `hashing`. The data proxy, the key derivation function and all other external dependencies are
passed in as small `Protocol`s. docs/architecture.md has a diagram of all folders.
"""
