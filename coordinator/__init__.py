"""The coordinator, run by the data-management centre: it registers parties, keeps grants and runs, and relays messages.

It is trusted for availability and scheduling only: it holds no identities, rows, labels, evidence or scores, and no key
that signs for a party. It imports `policies` and `crypto`, never another party, and never torch, scikit-learn or
pyarrow. `coordinator/README.md` lists what each store holds and what an attacker who has it can do.
"""
