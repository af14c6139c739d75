#!/usr/bin/env python3
"""Writes the bill of materials of libgomax.so to the standard output: sbom.py ROOT ARCHIVE SECONDS

The format is SPDX 2.3 as JSON. ROOT has Cargo.toml and Cargo.lock; ARCHIVE is the release; SECONDS is its time, since
1970. The packages are gomax and the crates that the library links: those below [dependencies] in Cargo.toml, and what
these need, as Cargo.lock has them. The crates of tests and models (dev-dependencies, cfg(loom), cfg(shuttle)) are not
linked. Rust's standard library is linked as well; it is the compiler's, which the archive does not determine.

A line of Cargo.lock does not tell a licence. So they stand here, and a crate without one is an error.
"""
import datetime
import hashlib
import json
import os
import re
import sys

LICENSES = {"gomax": "MIT OR Apache-2.0", "libc": "MIT OR Apache-2.0"}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def direct(manifest):
    """The names below [dependencies]; a table for a target is another one."""
    table = re.search(r"^\[dependencies\]\n(.*?)(?=^\[|\Z)", manifest, re.M | re.S)[1]
    return re.findall(r"^([\w-]+) *=", table, re.M)


def locked(lock):
    """The packages of Cargo.lock by their names; more than one if there are several versions."""
    packages = {}
    for text in lock.split("[[package]]\n")[1:]:
        fields = dict(re.findall(r'^(\w+) = "(.*)"$', text, re.M))
        needs = re.search(r"^dependencies = \[(.*?)\]", text, re.M | re.S)
        fields["needs"] = re.findall(r'"([^" ]+)', needs[1]) if needs else []
        packages.setdefault(fields["name"], []).append(fields)
    return packages


def linked(names, packages):
    found, todo = {}, list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        if len(packages[name]) != 1:
            raise SystemExit(f"Cargo.lock has {len(packages[name])} versions of {name}: which one is linked?")
        (found[name],) = packages[name]
        todo += found[name]["needs"]
    return [found[name] for name in sorted(found)]


def package(name, version, place, sha256):
    if name not in LICENSES:
        raise SystemExit(f"{name} is linked: look up its licence, and add it to LICENSES")
    return {
        "SPDXID": f"SPDXRef-{name}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": place,
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": LICENSES[name],
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
    }


def main(root, archive, seconds):
    manifest = open(os.path.join(root, "Cargo.toml")).read()
    packages = locked(open(os.path.join(root, "Cargo.lock")).read())
    version = packages["gomax"][0]["version"]
    digest = hashlib.sha256(open(archive, "rb").read()).hexdigest()
    found = [package("gomax", version, "NOASSERTION", digest)]
    found[0]["packageFileName"] = os.path.basename(archive)
    relations = [("DOCUMENT", "DESCRIBES", "gomax")]
    for crate in linked(direct(manifest), packages):
        name = crate["name"]
        if crate.get("source") != REGISTRY:
            raise SystemExit(f"{name} is not from crates.io")
        place = f"https://static.crates.io/crates/{name}/{name}-{crate['version']}.crate"
        found.append(package(name, crate["version"], place, crate["checksum"]))
        purl = f"pkg:cargo/{name}@{crate['version']}"
        found[-1]["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
        ]
        relations.append(("gomax", "STATIC_LINK", name))
    time = datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"gomax-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/gomax-{version}-{digest}",
        "creationInfo": {"created": time.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: gomax-packaging-sbom.py"]},
        "packages": found,
        "relationships": [
            {"spdxElementId": f"SPDXRef-{a}", "relationshipType": how, "relatedSpdxElement": f"SPDXRef-{b}"}
            for a, how, b in relations
        ],
    }
    json.dump(document, sys.stdout, indent=2)
    print()


main(*sys.argv[1:])
