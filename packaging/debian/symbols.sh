#!/bin/sh
# packaging/debian/symbols.sh HEADER: the symbols file of libgomax0, which says for each symbol since which version the
# package has it: that of the line "Since" in the header, and 0.2.0, the first package, for what is older.
set -eu
echo 'libgomax.so.0 libgomax0 #MINVER#'
echo '* Build-Depends-Package: libgomax-dev'
awk '
  /^\/\*\*/ { since = "0.2" }
  /^ \* Since: / { since = $3 == "0.1" ? "0.2" : $3 }
  /^(GMX_MUST_USE )?GMX_API / && match($0, /gmx_[a-z0-9_]+\(/) { print " " substr($0, RSTART, RLENGTH - 1) "@Base " since ".0" }
  /^extern GMX_API / { sub(/;.*/, ""); print " " $NF "@Base " since ".0" }' "$1" | LC_ALL=C sort
