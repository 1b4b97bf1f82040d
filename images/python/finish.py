"""Last step of the recipe: trims, compiles everything to .pyc, lists the packages, removes the recipe.

Compiled files carry no dates ("unchecked-hash"): the tree is read-only, and dates change when it is copied.
"""

import compileall
import importlib.metadata
import json
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

SLIPWAY = Path("/usr/lib/slipway")
PYPI = Path(f"/usr/local/lib/python{sys.version_info.major}.{sys.version_info.minor}/dist-packages")
DEBIAN = Path("/usr/lib/python3/dist-packages")
# For those who compile against a package; nobody does that inside a sandbox.
NEEDLESS = ["pyarrow/include", "pyarrow/tests", "pyarrow/src", "sdtp/tests", "docs", "tests"]

FONT_LIST = """    fm_path = Path(
        mpl.get_cachedir(), f"fontlist-v{FontManager.__version__}.json")
"""
PREBUILT_FONT_LIST = """    if not fm_path.exists():
        fm_path = Path("/usr/lib/slipway/matplotlib", fm_path.name)
"""


def trim() -> None:
    for name in NEEDLESS:
        shutil.rmtree(PYPI / name, ignore_errors=True)
    for tests in DEBIAN.glob("*/**/tests"):
        shutil.rmtree(tests, ignore_errors=True)
    for pattern in ("*.pxd", "*.pxi", "*.pyx"):
        for path in PYPI.rglob(pattern):
            path.unlink()
    for cache in [*SLIPWAY.rglob("__pycache__")]:
        shutil.rmtree(cache)


def prebuild_font_list() -> None:
    """matplotlib looks for fonts once and remembers them in the home, which is new in every sandbox."""
    fonts = SLIPWAY / "matplotlib"
    fonts.mkdir()
    code = "import matplotlib.font_manager"
    environment = {"MPLCONFIGDIR": str(fonts), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    module = DEBIAN / "matplotlib" / "font_manager.py"
    text = module.read_text()
    if text.count(FONT_LIST) != 1:
        sys.exit("matplotlib looks for its font list in another way; adapt finish.py")
    module.write_text(text.replace(FONT_LIST, FONT_LIST + PREBUILT_FONT_LIST))
    compileall.compile_file(module, quiet=2, force=True)


def compile_all() -> None:
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    for directory in (SLIPWAY, PYPI):
        compileall.compile_dir(directory, quiet=2, force=True, invalidation_mode=mode)


def debian_packages() -> list[dict[str, str]]:
    query = ["dpkg-query", "-W", "-f", "${Package}\t${Version}\n"]
    lines = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    pairs = [line.split("\t") for line in lines]
    return [{"name": name, "version": version, "source": "debian"} for name, version in pairs]


def pypi_packages() -> list[dict[str, str]]:
    found = importlib.metadata.distributions(path=[str(PYPI)])
    return [{"name": item.metadata["Name"], "version": item.version, "source": "pypi"} for item in found]


def main() -> None:
    shutil.rmtree(SLIPWAY / "recipe")
    trim()
    # The author's library, for every Python process of a sandbox.
    PYPI.mkdir(parents=True, exist_ok=True)
    (PYPI / "slipway.pth").write_text(f"{SLIPWAY}\n")
    prebuild_font_list()
    compile_all()
    packages = debian_packages() + pypi_packages()
    (SLIPWAY / "packages.json").write_text(json.dumps(packages, indent=1))


main()
