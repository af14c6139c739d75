"""The Conan 2 recipe of libgomax: `conan create packaging/conan` builds the tree that it lies in, with make and
cargo."""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, load, rm, rmdir


class Gomax(ConanFile):
    name = "gomax"
    description = "The scheduler of the Go runtime as a C library"
    license = "MIT OR Apache-2.0"
    topics = ("goroutines", "scheduler", "channels", "concurrency")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": True}

    def _tree(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        self.version = re.search(r'^version = "(.*)"', load(self, os.path.join(self._tree(), "Cargo.toml")), re.M)[1]

    def export_sources(self):
        # what `make build` and `make install` read, and tests/ctests.rs, which Cargo.toml names
        for pattern in ("Cargo.*", "build.rs", "Makefile", "LICENSE-*", "*.md", ".cargo/*", "src/*", "include/*",
                        "packaging/*", "docs/*", "tests/ctests.rs"):  # fmt: skip
            copy(self, pattern, self._tree(), self.export_sources_folder, excludes=("*/target/*", "*/__pycache__/*"))

    def validate(self):
        if self.settings.os != "Linux" or self.settings.arch not in ("x86_64", "armv8"):
            raise ConanInvalidConfiguration("gomax runs on Linux, on x86-64 and AArch64")

    def package_id(self):  # an interface of C, always built with optimization
        del self.info.settings.compiler
        del self.info.settings.build_type

    def build(self):
        self.run("make build", cwd=self.source_folder)

    def package(self):
        self.run(f"make install DESTDIR='{self.package_folder}' PREFIX= LIBDIR=/lib INCLUDEDIR=/include", cwd=self.source_folder)
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        rmdir(self, os.path.join(self.package_folder, "share", "doc"))
        rm(self, "libgomax.a" if self.options.shared else "libgomax.so*", os.path.join(self.package_folder, "lib"))
        # (Conan writes its own, by package_info)
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["gomax"]
        self.cpp_info.set_property("cmake_file_name", "gomax")
        self.cpp_info.set_property("cmake_target_name", "gomax::gomax")
        self.cpp_info.set_property("pkg_config_name", "gomax")
        # a frame that is larger than the guard of a goroutine's stack must not jump over it
        self.cpp_info.cflags = self.cpp_info.cxxflags = ["-fstack-clash-protection"]
        if not self.options.shared:
            self.cpp_info.system_libs = ["rt", "pthread", "m", "dl"]
