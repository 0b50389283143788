"""The tests of contsym, in an environment without settings of whoever runs them."""

import os

# Before contsym or a library reads them: they would send toy runs to a server, or change what is tested.
KEPT = ("CONTSYM_FUZZ", "CONTSYM_FAULT", "CONTSYM_KILL", "CONTSYM_REAL")
for name in [*os.environ]:
    is_ours = name.startswith(("MLFLOW_", "CONTSYM_")) and not name.startswith(KEPT)
    if is_ours or name in ("COLUMNS", "HF_TOKEN", "HF_ENDPOINT"):
        del os.environ[name]
