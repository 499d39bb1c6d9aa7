"""The only module of the empty bundle. Whoever imports it runs code that a coordinator sent, which Doudi never does."""

raise ImportError("doudi runs installed programs only; this bundle is empty")
