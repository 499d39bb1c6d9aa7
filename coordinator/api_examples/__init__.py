"""Bodies as they are sent, one per model, shown in the API's description. Keys, hashes and signatures in them are none."""
