"""Code versions: the hash of the sources that an asset's content depends on."""

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path


def code_version(*modules: str) -> str:
    """Return a short hash of the sources of modules (packages with all below), not importing them.

    An asset whose code version differs from its last materialization's is stale.
    """
    digest = sha256()
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(name)
        origin = Path(spec.origin)
        package = spec.submodule_search_locations is not None
        for path in sorted(origin.parent.rglob("*.py")) if package else [origin]:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
