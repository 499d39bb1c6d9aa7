"""How the agreements are enforced: pure functions over bytes and arrays.

May import: the standard library, `cryptography`, `numpy` and `rbcl`. No network, no database, no Flower, no torch,
and none of the other top-level packages. `crypto/README.md` lists every structure with its version byte and domain.
"""
