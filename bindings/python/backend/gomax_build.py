"""The build backend (PEP 517) of the package.

The wheel holds the package, gomax/_abi.py made from the header, and the library. GMX_LIB names the library, otherwise
it is target/release/libgomax.so of this tree, which cargo builds if it is not there. The wheel works with every CPython
from 3.9 on (ctypes needs no ABI of Python's). Its platform tag is read from the library, not assumed: the glibc of the
newest symbol version that the library asks for, or musl.

The source distribution holds what this needs, and cargo to build the library: it is this tree without what only its
own tests need, with pyproject.toml at the top as well.
"""

import base64
import gzip
import hashlib
import io
import os
import re
import subprocess
import sysconfig
import tarfile
import zipfile
from pathlib import Path

from gomax_abi import Header, module

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent

# what the source distribution has of the tree (cargo asks for each target that Cargo.toml names)
SOURCES = [
    "Cargo.toml", "Cargo.lock", "build.rs", ".cargo/config.toml", "tests/ctests.rs", "src",
    "include/gomax.h", "bindings/python", "docs/python.md", "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE",
]  # fmt: skip
# a file that was built or is a program's cache
BUILT = re.compile(r"(^|/)(__pycache__|build|dist|[^/]*\.egg-info|\.mypy_cache|PKG-INFO)(/|$)|\.pyc$")


def library() -> Path:
    if os.environ.get("GMX_LIB"):
        path = Path(os.environ["GMX_LIB"]).resolve()
        if not path.exists():
            raise SystemExit(f"there is no {path}, which GMX_LIB names")
        return path
    path = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "libgomax.so"
    if not path.exists():
        cargo = os.environ.get("CARGO", "cargo")
        try:
            subprocess.run([cargo, "build", "--release", "--lib", "--locked"], cwd=ROOT, check=True)
        except FileNotFoundError:
            raise SystemExit(f"gomax is written in Rust, and there is no {cargo}: install Rust 1.88 or later, or use a wheel")
    return path


def platform(lib: bytes) -> str:
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    if not machine.startswith("linux_"):
        return machine
    glibc = [(int(a), int(b)) for a, b in re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", lib)]
    if not glibc:
        return machine.replace("linux_", "musllinux_1_2_")
    return machine.replace("linux_", "manylinux_%d_%d_" % max(glibc))


def project(name: str) -> str:
    """A field of pyproject.toml as it is written there. (Python has a reader of TOML since 3.11 only.)"""
    text = (HERE / "pyproject.toml").read_text()
    (value,) = re.findall(rf"^{name} = (\[.*?\]|\".*?\"|\{{.*?\}})$", text, re.M | re.S)
    return value


def strings(value: str) -> list:
    return re.findall(r'"(.*?)"', value)


def metadata(version: str) -> str:
    lines = ["Metadata-Version: 2.1", "Name: gomax", f"Version: {version}"]
    lines += [f"Summary: {strings(project('description'))[0]}", f"Requires-Python: {strings(project('requires-python'))[0]}"]
    lines += [f"License: {strings(project('license'))[0]}", f"Keywords: {','.join(strings(project('keywords')))}"]
    lines += [f"Classifier: {classifier}" for classifier in strings(project("classifiers"))]
    lines += ["Description-Content-Type: text/markdown", "", (HERE / strings(project("readme"))[0]).read_text()]
    return "\n".join(lines)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    header = Header((ROOT / "include" / "gomax.h").read_text())
    lib = library().read_bytes()
    tag = f"py3-none-{platform(lib)}"
    info = f"gomax-{header.version}.dist-info"
    files = {f"gomax/{p.name}": p.read_bytes() for p in sorted((HERE / "src" / "gomax").iterdir()) if p.is_file()}
    files["gomax/_abi.py"] = module(header).encode()
    files["gomax/libgomax.so.0"] = lib
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        files[f"{info}/{name}"] = (ROOT / name).read_bytes()
    files[f"{info}/METADATA"] = metadata(header.version).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: gomax_build\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    record = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(data)}\n")
    record.append(f"{info}/RECORD,,\n")
    files[f"{info}/RECORD"] = "".join(record).encode()

    wheel = f"gomax-{header.version}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, wheel), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # the same input makes the same wheel
            entry.external_attr = (0o755 if name.endswith(".so.0") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def build_sdist(sdist_directory, config_settings=None):
    version = Header((ROOT / "include" / "gomax.h").read_text()).version
    files = {}
    for source in SOURCES:
        path = ROOT / source
        for p in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = p.relative_to(ROOT).as_posix()
            if p.is_file() and not BUILT.search(name):
                files[name] = p.read_bytes()
    # beside that of bindings/python, which it stands for
    files["pyproject.toml"] = (HERE / "pyproject.toml").read_text().replace(
        'backend-path = ["backend"]', 'backend-path = ["bindings/python/backend"]'
    ).replace('readme = "README.md"', 'readme = "bindings/python/README.md"').encode()
    files["PKG-INFO"] = metadata(version).encode()

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"gomax-{version}/{name}")  # the same input makes the same archive
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    sdist = f"gomax-{version}.tar.gz"
    with open(os.path.join(sdist_directory, sdist), "wb") as out:
        with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as compressed:
            compressed.write(packed.getvalue())
    return sdist
