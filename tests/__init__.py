"""The tests of contsym, in an environment without settings of whoever runs them."""

import os

KEPT = ("CONTSYM_FUZZ", "CONTSYM_FAULT", "CONTSYM_KILL", "CONTSYM_REAL")
IS_CLEAN = "TESTS_OF_CONTSYM"

# Before contsym or a library reads them: they would send toy runs to a server, or change what is tested. Only once: a test
# may start a process with a setting of its own.
for name in [*os.environ] if IS_CLEAN not in os.environ else ():
    is_ours = name.startswith(("MLFLOW_", "CONTSYM_")) and not name.startswith(KEPT)
    if is_ours or name in ("COLUMNS", "HF_TOKEN", "HF_ENDPOINT"):
        del os.environ[name]
os.environ[IS_CLEAN] = "1"
