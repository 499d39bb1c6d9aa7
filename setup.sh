#!/usr/bin/env bash
# Makes .venv with everything that the demo, the tests and the benchmarks need. Run it again after pulling; it is idempotent.
set -euo pipefail
cd "$(dirname "$0")"
PYTHON="${PYTHON:-python3}"
"$PYTHON" - <<'PY' || { echo "Doudi needs Python 3.11 to 3.13: set PYTHON=/path/to/python3.11" >&2; exit 2; }
import sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PY
echo "Setting up .venv: about a minute and 1.5 GB the first time  正在准备环境，首次约一分钟" >&2
[ -x .venv/bin/python ] || "$PYTHON" -m venv .venv
PIP=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
# The processor build of torch: from a local wheel, else from PyTorch's own index; the plain name would bring gigabytes of CUDA.
if ! .venv/bin/python -c 'import torch, sys; sys.exit(not torch.__version__.startswith("2.13.0"))' 2>/dev/null; then
  "${PIP[@]}" 'torch==2.13.0+cpu' 2>/dev/null ||
    "${PIP[@]}" --index-url https://download.pytorch.org/whl/cpu 'torch==2.13.0' 2>/dev/null ||
    "${PIP[@]}" 'torch==2.13.0'
fi
printf 'torch==2.13.0\n' > .venv/constraints.txt
"${PIP[@]}" --constraint .venv/constraints.txt -e '.[centre,node,audit,demo,dev]'
touch .venv/ready
echo "ready  就绪" >&2
