"""The build backend (PEP 517) of the wheel: the package, gomax/_abi.py made from the header, and the library inside.

GMX_LIB names the library, otherwise it is target/release/libgomax.so of this tree. The wheel works with every CPython
from 3.9 on (ctypes needs no ABI of Python's), and with every glibc from the newest symbol version on that the library
asks for: the platform tag is read from the library, not assumed.
"""

import base64
import hashlib
import os
import re
import sysconfig
import zipfile
from pathlib import Path

from gomax_abi import Header, module

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent


def library() -> Path:
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    path = Path(os.environ.get("GMX_LIB", target / "release" / "libgomax.so")).resolve()
    if not path.exists():
        raise SystemExit(f"there is no {path}: make build, or set GMX_LIB")
    return path


def platform(lib: bytes) -> str:
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    glibc = [(int(a), int(b)) for a, b in re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?\0", lib)]
    if not glibc or not machine.startswith("linux_"):
        return machine
    major, minor = max(glibc)
    return machine.replace("linux_", f"manylinux_{major}_{minor}_")


def metadata(version: str) -> str:
    project = (HERE / "pyproject.toml").read_text()
    (summary,) = re.findall(r'^description = "(.*)"', project, re.M)
    (python,) = re.findall(r'^requires-python = "(.*)"', project, re.M)
    return (
        f"Metadata-Version: 2.1\nName: gomax\nVersion: {version}\nSummary: {summary}\n"
        f"Requires-Python: {python}\nLicense: MIT OR Apache-2.0\n"
    )


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
    raise SystemExit("the source distribution is that of the whole library: the wheel is built in its tree")
