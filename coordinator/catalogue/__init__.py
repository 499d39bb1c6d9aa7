"""The catalogue of data assets: what each department registered of its own, signed by its node."""
