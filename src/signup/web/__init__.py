"""HTTP: routes, bodies, negotiation, cross-origin rules."""
