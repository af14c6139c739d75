# libgomax for people who have cargo, a C compiler and python3. `make help` lists what there is.

CARGO   ?= cargo
PYTHON  ?= python3
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
DOCDIR  ?= $(PREFIX)/share/doc/gomax
DESTDIR ?=
MINUTES ?= 10
DIR     ?= .

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE    := $(TARGET_DIR)/release
VERSION    := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SONAME     := libgomax.so.0
POSIX      := $(RELEASE)/libgomax_posix.so
INSIDE     := $(RELEASE)/gomax-trace
PAGE       := $(RELEASE)/libgomax-debug.so.0
CTL        := $(RELEASE)/gomaxctl
HEADERS    := include/gomax.h include/gomax.hpp include/gomax_net.hpp include/gomax_os.hpp include/gomax_errno.h
DOCUMENTS  := README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT $(wildcard docs/*.md docs/*.svg)
# gdb loads it with the library, if its own data directory is $(PREFIX)/share/gdb
GDBDIR      = $(PREFIX)/share/gdb/auto-load$(LIBDIR)
DEMO       := $(TARGET_DIR)/demo/wordcount

# What is shipped names no directory of the machine that built it. A RUSTFLAGS in the environment takes the place of this.
CARGO_HOME ?= $(HOME)/.cargo
REMAP      := --config "target.'cfg(all())'.rustflags=['--remap-path-prefix=$(CURDIR)=/usr/src/gomax-$(VERSION)', \
  '--remap-path-prefix=$(CARGO_HOME)/registry/src=/usr/src/cargo']"

# $(call need,program,what it is)
need = @command -v $(firstword $(1)) >/dev/null 2>&1 || { echo "make $@: $(firstword $(1)) is missing ($(2))" >&2; exit 1; }
need_cargo  = $(call need,$(CARGO),the Rust toolchain: https://rustup.rs or your distribution's cargo and rustc)
need_cc     = $(call need,$(CC),a C compiler: your distribution's gcc or clang; or say CC=...)
need_python = $(call need,$(PYTHON),Python 3: your distribution's python3; or say PYTHON=...)
# $(call need_file,path,what it does)
need_file = @test -e $(1) || { echo "make $@: $(1) is missing ($(2))" >&2; exit 1; }

.DEFAULT_GOAL := build
.PHONY: docs build posix inside page pictures test demo bench stress sanitize miri models musl aarch64 polls install install-polls uninstall header dist deb packages release clean help

build: ## the release library, with libgomax.so.0 beside it so that it runs in place
	$(need_cargo)
	$(CARGO) build --release --lib --locked $(REMAP) $(CARGO_FLAGS)
	@ln -sf libgomax.so $(RELEASE)/$(SONAME)

posix: build ## libgomax_posix.so, which parks goroutines in the blocking calls of other libraries (docs/posix.md)
	GMX_LIBDIR=$(abspath $(RELEASE)) $(CARGO) build --release --locked --manifest-path posix/Cargo.toml \
	  --target-dir $(TARGET_DIR)/posix $(REMAP) $(CARGO_FLAGS)
	@cp $(TARGET_DIR)/posix/release/libgomax_posix.so $(POSIX)
	@ln -sf libgomax_posix.so $(POSIX).0

inside: ## gomax-trace, which checks and converts traces (docs/inside.md)
	$(need_cargo)
	$(CARGO) build --release --locked --manifest-path inside/Cargo.toml --target-dir $(TARGET_DIR)/inside $(REMAP) $(CARGO_FLAGS)
	@mkdir -p $(RELEASE) && cp $(TARGET_DIR)/inside/release/gomax-trace $(INSIDE)

page: ## libgomax-debug.so.0, which serves the live page, and gomaxctl, which reads it (docs/inside.md)
	$(need_cargo)
	$(CARGO) build --release --locked --manifest-path inside/page/Cargo.toml --target-dir $(TARGET_DIR)/inside $(REMAP) $(CARGO_FLAGS)
	@mkdir -p $(RELEASE) && cp $(TARGET_DIR)/inside/release/gomaxctl $(CTL) && cp $(TARGET_DIR)/inside/release/libgomax_debug.so $(PAGE)

pictures: build inside ## draws the pictures of docs/scheduler.md again, from traces of this machine
	CC="$(CC)" TRACE=$(abspath $(INSIDE)) docs/pictures/draw.sh docs/pictures $(abspath $(RELEASE))

test: ## every suite, and a table of what passed (ci/test.sh NAME... runs some of them)
	$(need_cargo)
	$(need_cc)
	$(need_python)
	@MAKE="$(MAKE)" CARGO="$(CARGO)" PYTHON="$(PYTHON)" ci/test.sh

demo: build ## builds the demos: counts the words below DIR=., and runs a server of the Redis protocol
	$(need_cc)
	@mkdir -p $(dir $(DEMO))
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude $(CFLAGS) -o $(DEMO) demo/*.c \
	  -pthread -L$(RELEASE) -lgomax -Wl,-rpath,$(abspath $(RELEASE))
	$(DEMO) --progress $(DIR)
	@echo "a server that speaks the protocol of Redis, and its clients:"
	@SECONDS_EACH=$(or $(SECONDS_EACH),1) CC="$(CC)" MAKE="$(MAKE)" demo/resp/check.sh

bench: build ## the benchmarks, beside those of Go and other libraries (QUICK=1, PEERS=...)
	$(call need_file,benches/run.sh,runs the benchmarks)
	GMX_LIB=$(abspath $(RELEASE))/libgomax.so benches/run.sh --svg $(TARGET_DIR)/bench.svg
	GMX_LIB=$(abspath $(RELEASE))/libgomax.so benches/run.sh --net --json $(TARGET_DIR)/bench-net.json
	GMX_LIB=$(abspath $(RELEASE))/libgomax.so benches/run.sh --files --json $(TARGET_DIR)/bench-files.json

stress: build ## the programs of ctests/stress and failing calls of the system, each for MINUTES=10, and the longer suites; a table, and the seed
	$(need_cc)
	CARGO="$(CARGO)" CC="$(CC)" GMX_LIB=$(abspath $(RELEASE))/libgomax.so ci/stress.sh $(MINUTES)

sanitize: ## the C tests under AddressSanitizer, ThreadSanitizer and valgrind
	$(need_cc)
	CARGO="$(CARGO)" CC="$(CC)" CXX="$(CXX)" ci/sanitize.sh

miri: ## the unit tests of what is Rust alone, under Miri
	$(need_cargo)
	ci/miri.sh

models: ## checks the protocols with loom and shuttle
	$(need_cargo)
	$(call need_file,ci/models.sh,runs the models)
	ci/models.sh

musl: ## the C tests with musl
	$(need_cargo)
	ci/musl.sh

aarch64: ## the lowest layers and the C tests on AArch64, emulated on other machines, which takes hours
	$(need_cargo)
	ci/aarch64.sh
	ci/aarch64_vm.sh

install: $(RELEASE)/libgomax.so ## installs library, headers, gomax.pc, CMake package, gdb script, manual, documents, licences, and what make posix, make inside and make page have built, below PREFIX=/usr/local (DESTDIR=, LIBDIR=), runs ldconfig
	$(need_python)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/gomax $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(GDBDIR)
	install -m 644 $(RELEASE)/libgomax.so $(DESTDIR)$(LIBDIR)/libgomax.so.$(VERSION)
	ln -sf libgomax.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libgomax.so
	install -m 644 $(RELEASE)/libgomax.a $(DESTDIR)$(LIBDIR)/libgomax.a
	install -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 packaging/gomax-gdb.py $(DESTDIR)$(GDBDIR)/libgomax.so.$(VERSION)-gdb.py
	$(call fill,packaging/gomax.pc.in,$(LIBDIR)/pkgconfig/gomax.pc)
	$(call fill,packaging/gomaxConfig.cmake.in,$(LIBDIR)/cmake/gomax/gomaxConfig.cmake)
	$(call fill,packaging/gomaxConfigVersion.cmake.in,$(LIBDIR)/cmake/gomax/gomaxConfigVersion.cmake)
	$(PYTHON) packaging/manual/man.py include/gomax.h $(DESTDIR)$(MANDIR)
	install -d $(DESTDIR)$(DOCDIR)
	install -m 644 $(DOCUMENTS) $(DESTDIR)$(DOCDIR)
	$(if $(wildcard $(POSIX)),$(install_posix))
	$(if $(wildcard $(INSIDE)),$(install_inside))
	$(if $(wildcard $(PAGE)),$(install_page))
	@packaging/ldconfig.sh "$(LIBDIR)" "$(DESTDIR)"

docs: ## the site: documents and reference, with search, below target/site/html (Sphinx, from PyPI)
	$(need_python)
	ci/site.sh $(abspath $(TARGET_DIR))/site/html

polls: ## the plugins that give code polls, for each GCC and Clang whose headers are there (COMPILERS="gcc-12 clang")
	polls/build.sh $(TARGET_DIR)/polls

# a gomax-poll-COMPILER.pc for each plugin, and gomax-poll.pc for CC
install-polls: ## installs what make polls has built, and gomax-poll.pc (same PREFIX, DESTDIR, LIBDIR as make install)
	@test -n "$(wildcard $(TARGET_DIR)/polls/*/*.so)" || { echo "make install-polls: make polls first" >&2; exit 1; }
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	$(foreach so,$(wildcard $(TARGET_DIR)/polls/*/*.so),$(call install_poll,$(so),$(notdir $(patsubst %/,%,$(dir $(so))))))
	@ours=$$($(CC) --version 2>/dev/null | grep -q clang && echo clang || echo gcc)-$$($(CC) -dumpversion | sed 's/\..*//'); \
	  ! test -e $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-poll-$$ours.pc || \
	  ln -sf gomax-poll-$$ours.pc $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-poll.pc

# only when there is none: `sudo make install` must neither build nor need cargo
$(RELEASE)/libgomax.so:
	@$(MAKE) build

# a directory below the prefix as gomax.pc says it, so that pkg-config can move the tree (--define-variable=prefix=DIR)
below = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
# build.rs does the same for cargo-c
fill = sed -e 's|@PC_LIBDIR@|$(call below,$(LIBDIR))|g' -e 's|@PC_INCLUDEDIR@|$(call below,$(INCLUDEDIR))|g' \
  -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(LIBDIR)|g' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|g' \
  -e 's|@VERSION@|$(VERSION)|g' -e 's|@SONAME@|$(SONAME)|g' $(1) > $(DESTDIR)$(2) && chmod 644 $(DESTDIR)$(2)

define install_posix
install -m 644 $(POSIX) $(DESTDIR)$(LIBDIR)/libgomax_posix.so.$(VERSION)
	ln -sf libgomax_posix.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libgomax_posix.so.0
	ln -sf libgomax_posix.so.0 $(DESTDIR)$(LIBDIR)/libgomax_posix.so
	install -m 644 include/gomax_posix.h $(DESTDIR)$(INCLUDEDIR)
	$(call fill,packaging/gomax-posix.pc.in,$(LIBDIR)/pkgconfig/gomax-posix.pc)
endef

define install_inside
install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1
	install -m 755 $(INSIDE) $(DESTDIR)$(BINDIR)
	install -m 644 packaging/manual/gomax-trace.1 $(DESTDIR)$(MANDIR)/man1
endef

define install_page
install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(PAGE) $(DESTDIR)$(LIBDIR)/libgomax-debug.so.0
	install -m 755 $(CTL) $(DESTDIR)$(BINDIR)
	install -m 644 packaging/manual/gomaxctl.1 $(DESTDIR)$(MANDIR)/man1
endef

# $(call install_poll,plugin,compiler)
define install_poll
install -d $(DESTDIR)$(LIBDIR)/gomax/$(2)
	install -m 644 $(1) $(DESTDIR)$(LIBDIR)/gomax/$(2)
	$(call fill,packaging/gomax-poll.pc.in,$(LIBDIR)/pkgconfig/gomax-poll-$(2).pc)
	sed -i -e 's|@COMPILER@|$(2)|g' -e 's|@PLUGIN@|$(notdir $(1))|' \
	  -e 's|@POLL_FLAG@|$(if $(filter clang-%,$(2)),-fpass-plugin,-fplugin)|' $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-poll-$(2).pc
	
endef

uninstall: ## removes what install put there (same PREFIX, DESTDIR, LIBDIR)
	rm -f $(DESTDIR)$(LIBDIR)/libgomax.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/libgomax.so
	rm -f $(DESTDIR)$(LIBDIR)/libgomax.a $(DESTDIR)$(LIBDIR)/pkgconfig/gomax.pc
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(notdir $(HEADERS))) $(DESTDIR)$(GDBDIR)/libgomax.so.$(VERSION)-gdb.py
	rm -rf $(DESTDIR)$(LIBDIR)/cmake/gomax $(DESTDIR)$(LIBDIR)/gomax $(DESTDIR)$(DOCDIR)
	rm -f $(addprefix $(DESTDIR)$(MANDIR)/,man3/gmx_*.3 man3/GMX_*.3 man3/gomax*.3 man7/gomax*.7)
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/libgomax_posix.so,.$(VERSION) .0 "") $(DESTDIR)$(INCLUDEDIR)/gomax_posix.h
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-posix.pc $(DESTDIR)$(BINDIR)/gomax-trace $(DESTDIR)$(MANDIR)/man1/gomax-trace.1
	rm -f $(DESTDIR)$(LIBDIR)/libgomax-debug.so.0 $(DESTDIR)$(BINDIR)/gomaxctl $(DESTDIR)$(MANDIR)/man1/gomaxctl.1
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-poll.pc $(DESTDIR)$(LIBDIR)/pkgconfig/gomax-poll-*.pc
	@test -n "$(DESTDIR)" || packaging/ldconfig.sh "$(LIBDIR)" >/dev/null

header: ## writes include/gomax.h anew from src/capi, and from it the declarations of the Zig and Nim bindings
	$(need_cargo)
	GMX_BLESS=1 $(CARGO) test --quiet --test header $(CARGO_FLAGS) -- header_is_up_to_date

dist: ## the release archive of the commit, its SHA256SUMS and what it is made of (SPDX), in target/dist
	$(need_python)
	@PYTHON="$(PYTHON)" packaging/dist.sh $(abspath $(TARGET_DIR))/dist
	@cd $(abspath $(TARGET_DIR))/dist && cat SHA256SUMS

deb: ## the Debian packages of the commit, in target/deb (docs/install.md)
	packaging/deb.sh $(abspath $(TARGET_DIR))/deb

packages: ## builds and tries every package: Debian, RPM, Python, Conan, vcpkg, cargo-c; takes half an hour
	$(need_cargo)
	$(need_python)
	@failed=; for script in dist packages deb rpm wheels recipes; do echo "== ci/$$script.sh"; \
	  PYTHON="$(PYTHON)" ci/$$script.sh; case $$? in 0) ;; 77) echo "skipped";; *) failed="$$failed $$script";; esac; done; \
	  test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

release: $(RELEASE)/libgomax.so ## checks what must hold before a release, and prints the text of its tag (docs/versions.md)
	@PYTHON="$(PYTHON)" ci/release.sh

clean: ## removes what was built
	$(need_cargo)
	$(CARGO) clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
