#!/usr/bin/env bash
# Checks that the ABI is compatible with earlier programs. packaging/abi/SONAME.c holds every function, constant and
# struct as they were when it was written. This script compiles it against today's header and links it with today's
# library, so each changed or missing entity is a failure. New entities are reported and are no failure.
# `ci/abi.sh --bless` writes the file again from today's header. After an incompatible change that is right only if no
# program depends on the old ABI, or with a new SONAME.
# With abidiff and an older build, ABI_BASE=/old/libgomax.so, it also compares the debug information of the two
# libraries. Ends with `N passed, N failed`. Environment: GMX_LIB another libgomax.so than target/release's, CC, PYTHON.
source "$(dirname "$0")/lib.sh"
use_library
baseline=packaging/abi/libgomax.so.0.c
cc=${CC:-cc}

describe() { # the C file of include/gomax.h as it is
  "${PYTHON:-python3}" - include/gomax.h "$work" "$cc" <<'PY'
import re, subprocess, sys

header, work, cc = sys.argv[1:]
text = re.sub(r"/\*.*?\*/", "", open(header).read(), flags=re.S)
functions = {}
for returns, name, args in re.findall(r"^(?:GMX_MUST_USE )?GMX_API ((?:const )?(?:struct )?\w+ \*?)(gmx_\w+)\s*\(([^;]*)\);", text, flags=re.M):
    functions[name] = re.sub(r"\s+", " ", f"{returns}{name}({args});").replace("( ", "(").replace("* )", "*)")
constants = [n for n in re.findall(r"^#define (GMX_\w+) +\(?-?\d+\)?\s*$", text, flags=re.M) if not n.startswith("GMX_VERSION")]
structs = {}
for name, body in re.findall(r"^typedef struct (gmx_\w+) \{(.*?)^\} \1;", text, flags=re.M | re.S):
    fields = [f.strip() for f in body.split(";") if f.strip()]
    structs[name] = [re.search(r"\(\*(\w+)\)", f).group(1) if "(*" in f else re.search(r"(\w+)(\[\w+\])?$", f).group(1) for f in fields]

with open(f"{work}/ask.c", "w") as ask:
    print("#include <gomax.h>\n#include <stdio.h>\nint main(void) {", file=ask)
    for c in constants:
        print(f'printf("_Static_assert({c} == %lld, \\"{c}\\");\\n", (long long){c});', file=ask)
    for s, fields in structs.items():
        more = ">=" if fields[0] == "struct_size" else "=="
        print(f'printf("\\n_Static_assert(sizeof({s}) {more} %zu && _Alignof({s}) == %zu, \\"{s}\\");\\n", sizeof({s}), _Alignof({s}));', file=ask)
        for f in fields:
            print(f'printf("_Static_assert(offsetof({s}, {f}) == %zu && sizeof((({s} *)0)->{f}) == %zu, \\"{s}.{f}\\");\\n", offsetof({s}, {f}), sizeof((({s} *)0)->{f}));', file=ask)
    print("return 0; }", file=ask)
subprocess.run([cc, "-std=c11", "-Iinclude", "-o", f"{work}/ask", f"{work}/ask.c"], check=True)
asserts = subprocess.run([f"{work}/ask"], check=True, capture_output=True, text=True).stdout
print("/* What programs that were linked with libgomax.so.0 rely on. Written and compared by ci/abi.sh. */")
print("#include <gomax.h>\n")
print(asserts)
for f in sorted(functions):
    print(functions[f])
print("extern volatile uint32_t gmx_poll_word;\n")
print("typedef void (*abi_function)(void);\nabi_function const abi_functions[] = {")
for f in sorted(functions):
    print(f"  (abi_function){f},")
print("};\n\nint main(void) { return abi_functions[0] == 0 || gmx_poll_word != 0; }")
PY
}

describe >"$work/now.c" || exit 1
if [[ ${1:-} == --bless ]]; then
  cp "$work/now.c" "$baseline"
  exit
fi
builds() { "$cc" -std=c11 -Wall -Wextra -Werror -Wno-cast-function-type -Iinclude -o "$work/program" "$1" -L"$work/lib" -lgomax; }
check "what there was is there" builds "$baseline"
check "a program that refers to all of it starts" env LD_BIND_NOW=1 "$work/program"
check "this script understands the header" builds "$work/now.c"
exports() { # each is in what `describe` found
  nm -D --defined-only --format=posix "$lib" | awk '{ print $1 }' | while read -r name; do
    grep -qw "$name" "$work/now.c" || echo "exported, but not in the header as this script reads it: $name"
  done | tee "$work/unknown"
  [[ ! -s $work/unknown ]]
}
check "exports" exports
new=$(diff "$baseline" "$work/now.c" | sed -n 's/^> //p')
[[ -z $new ]] || printf 'new since %s (ci/abi.sh --bless takes it in):\n%s\n' "$baseline" "$new"
if [[ -n ${ABI_BASE:-} ]]; then
  if command -v abidiff >/dev/null; then
    # bit 3: incompatible
    check "abidiff $ABI_BASE" bash -c 'abidiff --headers-dir1 include --headers-dir2 include "$0" "$1"; (($? & 8 ? 0 : 1))' "$ABI_BASE" "$lib"
  else
    echo "there is no abidiff"
  fi
fi
summary
