"""The image: what it leaves out is not imported by what it contains."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
IGNORED = (ROOT / "deploy/docker/Dockerfile.dockerignore").read_text().splitlines()
LEFT_OUT = [line for line in IGNORED if line.startswith("deploy/")]


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, as paths; ``from a import b`` gives ``a`` and ``a/b``."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name.replace(".", "/") for name in names}


def test_image_contains_every_module_that_it_imports() -> None:
    packages = [ROOT / name for name in ("shared", "scheduler", "worker", "api_stub", "deploy")]
    contained = [
        path
        for package in packages
        for path in package.rglob("*.py")
        if not any(path.is_relative_to(ROOT / folder) for folder in LEFT_OUT)
    ]
    assert len(contained) > 300

    missing = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in contained
        for module in imported(path)
        if any(module == folder or module.startswith(f"{folder}/") for folder in LEFT_OUT)
    }

    assert missing == set()
