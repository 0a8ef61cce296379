"""A sign-up endpoint for Cloudflare Python Workers.

Dependencies point inwards: `runtime` (workerd) → `composition` → `web` (HTTP) → `registration` (the use case) →
`database`, `fields` and `hashing`. External dependencies, such as the data proxy and the key derivation function, are
passed in, most of them as small `Protocol`s. docs/architecture.md has a diagram of all folders.
"""
