"""A sign-up endpoint for Cloudflare Python Workers.

Dependencies point inwards: `edge` (workerd) → `wiring` → `app` (HTTP) → `service` (the use case) → `store`, `passwords`
and `models`. What reaches outside, a data proxy or a key derivation function, comes in as a small `Protocol`.
"""
