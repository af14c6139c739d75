#!/usr/bin/env bash
# Makes the manual pages from the header, and checks them: each exported function has one, each page that a page refers
# to exists, the comments come through, and groff and mandoc, where they are installed, have nothing to say. Ends with
# `N passed, N failed`.
source "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
man=$work/man

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
    grep -q '^gmx_status gmx_pin\|gmx_pin(void)' "$man/man3/gmx_pin.3" && grep -q 'gmx_sema_acquire(&turn)' "$man/man3/gmx_sema_release_handoff.3"
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
  said=$(cd "$man" && for page in man?/*; do groff -man -ww -z -Tutf8 "$page" 2>&1; done)
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
if command -v groff >/dev/null; then check "groff" by_groff; fi
if command -v mandoc >/dev/null; then check "mandoc" by_mandoc; fi
summary
