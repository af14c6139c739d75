#!/usr/bin/env bash
# Makes the manual pages from the header, and checks them: each exported function has one, each page that a page refers
# to exists, the comments come through, and groff and mandoc, where they are installed, have nothing to say. Each
# function has an example, which calls it. The programs of the examples compile without a warning and run, by gcc and by
# clang. Ends with `N passed, N failed, N skipped`.
# Environment: GMX_LIB another libgomax.so than target/release's.
source "$(dirname "$0")/lib.sh"
use_library
man=$work/man
skipped=0
flags=(-std=c11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror -pthread "-I$PWD/include")
libs=("-L$work/lib" -lgomax)

pages() { "${PYTHON:-python3}" packaging/manual/man.py include/gomax.h "$man"; }
complete() {
  local missing
  missing=$(sed -n 's/^GMX.*GMX_API .*\b\(gmx_[a-z0-9_]*\)(.*/\1/p; s/^GMX_API .*\b\(gmx_[a-z0-9_]*\)(.*/\1/p' include/gomax.h |
    sort -u | while read -r name; do [[ -s $man/man3/$name.3 ]] || echo "$name"; done)
  [[ -z $missing ]] || { echo "no page: $missing"; return 1; }
  # as many functions as are exported
  [[ $(grep -l '^\.SH CONTEXTS' "$man"/man3/gmx_*.3 | wc -l) == $(grep -c '^GMX[A-Z_ ]*GMX_API\|^GMX_API' include/gomax.h) ]]
}
references() {
  local bad
  bad=$(grep -oh 'fB[A-Za-z_\\-]*\\fR([37])' -r "$man" | sed 's/^fB//; s/\\fR(/ /; s/)//; s/\\-/-/g' | sort -u |
    while read -r name section; do [[ -s $man/man$section/$name.$section ]] || echo "$name($section)"; done)
  links=$(grep -h '^\.so ' -r "$man" | sort -u | while read -r _ file; do [[ -s $man/$file ]] || echo "$file"; done)
  [[ -z $bad$links ]] || { echo "there is no $bad $links"; return 1; }
}
# what a comment says is on the page, in its place
contents() {
  local page=$man/man3/gmx_chan_send_timeout.3
  grep -q '^gmx_chan_send_timeout \\- ' "$page" && grep -q 'GMX_ETIMEDOUT' <(sed -n '/^.SH RETURN VALUE/,/^.SH CONTEXTS/p' "$page") &&
    grep -A1 '^\.B Cancellable' "$page" | grep -q '^yes\.' && grep -A1 '^\.B Call from' "$page" | grep -q 'foreign thread' &&
    grep -q '^gmx_status gmx_pin\|gmx_pin(void)' "$man/man3/gmx_pin.3" && grep -q 'gmx_sema_acquire(&turn)' "$man/man3/gmx_sema_release_handoff.3" &&
    sed -n '/^.SH EXAMPLE/,/^.SH HISTORY/p' "$page" | grep -q 'gmx_chan_send_timeout(out'
}
# each trap names a page of a function that has to do with it
traps() {
  ! sed '/^\.SH TOOLS/,$d; /^\.RS/,/^\.RE/d' "$man/man7/gomax-traps.7" | awk '/^\.IP/ { getline; if (!/\\fR\(3\)/) print }' | grep .
}
by_clang() { # PROGRAM
  clang "${flags[@]}" -o "$work/program" "$1" "${libs[@]}" && cd "$work" && timeout 60 ./program
}
# and each function was called from its example
by_gcc() { # PROGRAM
  cp "$1" "$work/example.c" && cd "$work" && gcc -fno-inline --coverage "${flags[@]}" -o program example.c "${libs[@]}" &&
    timeout 60 ./program && gcov program-example.gcno >gcov.txt && awk '
      /\/\* example: / { names = $0; gsub(/.*example: | \*\/.*/, "", names); n = split(names, name, " "); within = 1 }
      /\/\* end \*\// { for (i = 1; i <= n; i++) if (!called[name[i]]) { print name[i] " is not called"; bad = 1 }
                       delete called; within = 0 }
      within && $1 ~ /^[0-9]/ { for (i = 1; i <= n; i++) if (index($0, name[i] "(")) called[name[i]] = 1 }
      END { exit bad }' example.c.gcov
}
# gomax-functions(7) leads to the page of each function
by_purpose() {
  local page
  for page in "$man"/man3/gmx_*.3; do
    ! grep -q '^\.SH CONTEXTS' "$page" || grep -qF "\\fB$(basename "$page" .3)\\fR(3)" "$man/man7/gomax-functions.7" || { basename "$page"; return 1; }
  done
}
by_groff() {
  local said
  said=$(cd "$man" && groff -man -ww -z -Tutf8 man?/* 2>&1)
  [[ -z $said ]] || { echo "$said" | head -20; return 1; }
}
# (a page has the version instead of a date: it does not change from day to day)
by_mandoc() { ! mandoc -T lint -W warning "$man"/man?/* | grep -v 'missing date'; }
same_again() {
  "${PYTHON:-python3}" packaging/manual/man.py include/gomax.h "$work/again" && diff -r "$man" "$work/again"
}

check "the pages are made" pages
check "each function has a page" complete
check "each reference has a page" references
check "comments come through" contents
check "each function is found by its purpose" by_purpose
check "made again they are the same" same_again
check "the traps name functions" traps
check "each function has an example" "${PYTHON:-python3}" packaging/manual/examples.py include/gomax.h
for program in packaging/manual/examples/*.c; do
  start "${program##*/}: gcc" by_gcc "$program"
  ! command -v clang >/dev/null || start "${program##*/}: clang" by_clang "$program"
done
settle
if command -v groff >/dev/null; then check "groff" by_groff; fi
if command -v mandoc >/dev/null; then check "mandoc" by_mandoc; fi
command -v clang >/dev/null || { echo "left out: there is no clang"; skipped=1; }
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
