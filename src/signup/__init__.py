"""A sign-up endpoint for Cloudflare Python Workers.

Dependencies point inwards: `runtime` (workerd) → `composition` → `web` (HTTP) → `registration` (the use case) →
`database`, `fields` and `hashing`. A data proxy, a key derivation function and everything else that reaches outside is
passed in as a small `Protocol`. docs/architecture.md draws all folders.
"""
